// Notes the digest of a file of edits before it is sent, so that a file that arrives cut is refused. Files for
// custodians are sent without: they may be too large for the memory of a browser, and nobody compares them.
"use strict";
(() => {
  const send = document.getElementById("send-edits");
  const confirm = document.getElementById("confirm-upload");
  const drop = document.getElementById("drop");
  const name = (key) => `digest ${key}`;
  if (confirm) {
    const { key_of_file: key, digest } = confirm.elements;
    digest.value ||= sessionStorage.getItem(name(key.value)) || "";
  }
  if (!send) return;
  const input = send.elements.file;
  const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  if ("digest" in send.dataset) send.addEventListener("submit", async (event) => {
    if (!crypto.subtle || !input.files.length) return;
    event.preventDefault();
    try {
      const digest = await crypto.subtle.digest("SHA-256", await input.files[0].arrayBuffer());
      sessionStorage.setItem(name(send.elements.key.value), hex(digest));
    } catch { /* the server computes it */ }
    send.submit();
  });
  const show = () => { if (input.files[0]) drop.querySelector("[data-name]").textContent = input.files[0].name; };
  input.addEventListener("change", show);
  for (const each of ["dragenter", "dragover"]) drop.addEventListener(each, (event) => { event.preventDefault(); drop.dataset.over = ""; });
  for (const each of ["dragleave", "drop"]) drop.addEventListener(each, () => { delete drop.dataset.over; });
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) { input.files = event.dataTransfer.files; show(); }
  });
  for (const each of ["dragover", "drop"]) addEventListener(each, (event) => event.preventDefault());
})();
