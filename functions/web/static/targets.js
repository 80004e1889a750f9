// Puts a file of targets into the field of the form, and checks what is in the field. Without this
// script one pastes them; they are checked when the form is sent.
"use strict";
(() => {
  const area = document.getElementById("drop");
  const field = document.getElementById("targets");
  if (!area || !field) return;
  const input = area.querySelector("input[type=file]");
  const result = document.getElementById("check");
  const stored = document.getElementById("targets_file");
  const TYPED = 100_000; // bytes of a file that goes into the field
  const CHECKED = 4_000_000; // bytes of one that is checked here; a request of 6 MB includes base64
  let newest = 0;

  const say = (words, kind = "information") => {
    const line = document.createElement("p");
    line.className = `alert s-${kind}`;
    line.textContent = words;
    result.replaceChildren(line);
  };

  const post = async (address, headers, body) => {
    const response = await fetch(address, { method: "POST", headers: { ...headers, "X-CSRF-Token": area.dataset.csrf }, body });
    if (!response.ok) throw new Error(String(response.status));
    return new DOMParser().parseFromString(await response.text(), "text/html");
  };

  // Whether the targets have no errors; true if that is not known.
  async function check(text) {
    const number = ++newest;
    if (!text.trim()) { result.replaceChildren(); return true; }
    say("Checking…");
    try {
      const page = await post(area.dataset.check, { "Content-Type": "text/plain" }, text);
      if (number !== newest) return false;
      const found = page.getElementById("checked");
      result.replaceChildren(...found.childNodes);
      result.scrollIntoView({ block: "nearest" });
      return found.dataset.errors === "0";
    } catch {
      if (number === newest) say("The check did not answer. The targets are checked when you send the form, too.", "warning");
      return true;
    }
  }

  // Uploads a large file; the form then has its key.
  async function upload(file) {
    say("Sending…");
    try {
      const page = await post("/campaigns/targets", {}, new URLSearchParams({ filename: file.name }));
      const form = page.getElementById("upload");
      const body = new FormData(form);
      body.append("file", file);
      const response = await fetch(form.action, { method: "POST", body });
      if (!response.ok) throw new Error(String(response.status));
      stored.value = form.dataset.key;
      say(`${file.name} is uploaded. Preview the job to check the file.`);
    } catch {
      say(`${file.name} could not be uploaded. Choose it again.`, "error");
    }
  }

  async function take(file) {
    area.querySelector("[data-name]").textContent = file.name;
    stored.value = "";
    const text = file.size <= CHECKED ? await file.text() : "";
    field.value = file.size <= TYPED ? text : "";
    if (await check(text) && file.size > TYPED) upload(file);
  }

  field.addEventListener("change", () => check(field.value));
  input.addEventListener("change", () => { if (input.files[0]) take(input.files[0]); });
  for (const name of ["dragenter", "dragover"]) area.addEventListener(name, (event) => { event.preventDefault(); area.dataset.over = ""; });
  for (const name of ["dragleave", "drop"]) area.addEventListener(name, () => { delete area.dataset.over; });
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  // A file that misses the area must not replace the page.
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
})();
