// Checks a manifest, or the file of a dataset, before it is sent. Without this script the form sends it
// unchecked, and its findings are on the page of the batch, or of the load.
"use strict";
(() => {
  const area = document.getElementById("drop");
  if (!area) return;
  const input = area.querySelector("input[type=file]");
  const result = document.getElementById("check");
  const send = document.getElementById("send");
  const LIMIT = 4_000_000; // compressed bytes; a request of 6 MB includes base64
  const SLICE = 262_144;
  let newest = 0;

  // The beginning of a file, compressed: [content, how many bytes of the file it has].
  async function compress(file) {
    const stream = new CompressionStream("gzip");
    const writer = stream.writable.getWriter();
    const parts = [];
    let size = 0;
    const reading = (async () => {
      const reader = stream.readable.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        parts.push(part.value);
        size += part.value.length;
      }
    })();
    let read = 0;
    while (read < file.size && size < LIMIT - SLICE) {
      const end = Math.min(read + SLICE, file.size);
      await writer.write(new Uint8Array(await file.slice(read, end).arrayBuffer()));
      read = end;
    }
    await writer.close();
    await reading;
    return [new Blob(parts), read];
  }

  const say = (words, kind = "information") => {
    const line = document.createElement("p");
    line.className = `alert s-${kind}`;
    line.textContent = words;
    result.replaceChildren(line);
  };
  const size = (bytes) => (bytes < 1e3 ? `${bytes} bytes` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

  async function check(file) {
    const number = ++newest;
    send.textContent = send.dataset.words;
    area.querySelector("[data-name]").textContent = `${file.name}, ${size(file.size)}`;
    if (!("CompressionStream" in window)) return say("This browser cannot check it here. It is checked when you send it.");
    say("Checking…");
    try {
      const [body, read] = await compress(file);
      const query = new URLSearchParams({ filename: file.name, bytes: read, size: file.size });
      const address = `${area.dataset.check}${area.dataset.check.includes("?") ? "&" : "?"}${query}`;
      const headers = { "Content-Type": "application/gzip", "X-CSRF-Token": area.dataset.csrf };
      const response = await fetch(address, { method: "POST", headers, body });
      const text = await response.text();
      if (number !== newest) return;
      if (!response.ok) throw new Error(String(response.status));
      const page = new DOMParser().parseFromString(text, "text/html");
      const found = page.getElementById("checked") || page.body;
      result.replaceChildren(...found.childNodes);
      const errors = Number(found.dataset.errors || 0);
      if (errors) send.textContent = "Send it anyway";
      result.scrollIntoView({ block: "nearest" });
    } catch {
      if (number === newest) say("The check did not answer. You can send the file: it is checked then too.", "warning");
    }
  }

  // The form of the second step gets the chosen file, so that nobody chooses it twice. If anything
  // fails, the page of that step is shown.
  const form = area.closest("form");
  form.addEventListener("submit", async (event) => {
    if (!input.files.length) return;
    event.preventDefault();
    send.disabled = true;
    say("Sending…");
    try {
      const response = await fetch(form.action, { method: "POST", body: new URLSearchParams([...new FormData(form)].map(([name, value]) => [name, value.name ?? value])) });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const upload = page.getElementById("upload");
      if (!response.ok || !upload) {
        document.getElementById("main").replaceChildren(...page.getElementById("main").childNodes);
        return scrollTo(0, 0);
      }
      const chosen = new DataTransfer();
      chosen.items.add(input.files[0]);
      upload.querySelector("input[type=file]").files = chosen.files;
      upload.hidden = true;
      document.body.append(document.adoptNode(upload));
      upload.submit();
    } catch {
      form.submit();
    }
  });

  input.addEventListener("change", () => { if (input.files[0]) check(input.files[0]); });
  for (const name of ["dragenter", "dragover"]) area.addEventListener(name, (event) => { event.preventDefault(); area.dataset.over = ""; });
  for (const name of ["dragleave", "drop"]) area.addEventListener(name, () => { delete area.dataset.over; });
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    check(input.files[0]);
  });
  // A file that misses the area must not replace the page.
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
})();
