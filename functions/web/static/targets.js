// Puts a file of targets into the field of the form, and checks what is in the field. Without this
// script one pastes them; they are checked when the form is sent.
"use strict";
(() => {
  const area = document.getElementById("drop");
  const field = document.getElementById("targets");
  if (!area || !field) return;
  const input = area.querySelector("input[type=file]");
  const result = document.getElementById("check");
  const LIMIT = 400_000; // bytes that a form may have
  let newest = 0;

  const say = (words, kind = "information") => {
    const line = document.createElement("p");
    line.className = `alert s-${kind}`;
    line.textContent = words;
    result.replaceChildren(line);
  };

  async function check(text) {
    const number = ++newest;
    if (!text.trim()) return result.replaceChildren();
    say("Checking…");
    try {
      const headers = { "Content-Type": "text/plain", "X-CSRF-Token": area.dataset.csrf };
      const response = await fetch(area.dataset.check, { method: "POST", headers, body: text });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (number !== newest) return;
      if (!response.ok) throw new Error(String(response.status));
      result.replaceChildren(...page.getElementById("checked").childNodes);
      result.scrollIntoView({ block: "nearest" });
    } catch {
      if (number === newest) say("The check did not answer. The targets are checked when you send the form, too.", "warning");
    }
  }

  async function take(file) {
    area.querySelector("[data-name]").textContent = file.name;
    if (file.size > LIMIT) return say(`${file.name} is too large for this form: start the job with jobyard campaign start --targets.`, "error");
    field.value = await file.text();
    check(field.value);
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
