// What every page has: colours, the reader's zone, copy buttons, selections, shortcuts.
// Loaded in the head, so that the chosen colours are there before the first paint.
"use strict";
(() => {
  const root = document.documentElement;
  const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  root.dataset.theme = stored("theme") || "auto";
  root.dataset.script = "";

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const cookie = `zone=${encodeURIComponent(zone)}`;
  if (!document.cookie.split("; ").includes(cookie)) {
    const safe = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `${cookie}; Path=/; Max-Age=31536000; SameSite=Lax${safe}`;
  }

  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const isTyping = (element) => element.matches("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]");

  // A short message in the corner, which screen readers read out.
  window.toast = (words) => {
    const note = document.createElement("p");
    note.textContent = words;
    document.getElementById("toasts").append(note);
    setTimeout(() => note.remove(), 5000);
  };

  const rows = (form) => all(`input[type=checkbox][form="${form}"][value]:not([data-all-matching])`);

  // Counts the selected rows of each list again. Also called after an update of the page.
  window.showSelection = () => {
    for (const bar of all("[data-selection]")) {
      const form = bar.dataset.selection;
      const boxes = rows(form);
      const chosen = boxes.filter((box) => box.checked).length;
      const everything = bar.querySelector("[data-all-matching]");
      const isAll = everything && everything.checked;
      bar.querySelector("[data-selected]").textContent = !isAll ? chosen : Number(bar.dataset.matching) ? Number(bar.dataset.matching).toLocaleString("en") : "all";
      bar.hidden = boxes.length > 0 && !chosen && !isAll; // a page without rows may still have matches
      for (const box of all(`[data-select-all="${form}"]`)) {
        box.checked = boxes.length > 0 && chosen === boxes.length;
        box.indeterminate = chosen > 0 && chosen < boxes.length;
      }
    }
  };

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.name === "theme" && box.closest("#themes")) {
      root.dataset.theme = box.value;
      try { localStorage.setItem("theme", box.value); } catch { /* the choice lasts for this page */ }
    }
    if (box.id === "shortcuts") try { localStorage.setItem("shortcuts", box.checked ? "on" : "off"); } catch { /* as above */ }
    if (box.dataset.selectAll) for (const row of rows(box.dataset.selectAll)) row.checked = box.checked;
    if (box.dataset.allMatching !== undefined) for (const row of rows(box.form.id)) row.checked = box.checked;
    if (box.type === "checkbox") showSelection();
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      toast("Copied");
    } catch {
      toast("This browser does not allow copying here");
    }
  });

  // A part that is loaded when it is opened, from the page that its link leads to.
  document.addEventListener("toggle", async ({ target: part }) => {
    if (!part.open || !part.matches("[data-load]")) return;
    const words = (text) => { part.lastElementChild.textContent = text; };
    words("Loading…");
    part.dataset.loaded = "";
    try {
      const response = await fetch(part.querySelector("a").href, { headers: { "X-Poll": "1" } });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      part.lastElementChild.replaceChildren(...page.getElementById("part").childNodes);
    } catch {
      words("It could not be loaded now.");
    }
  }, true);

  // A second click while a form is on its way does nothing.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) return event.preventDefault();
    if (!event.defaultPrevented) event.target.dataset.sent = "1";
  });
  addEventListener("pageshow", () => { for (const form of all("[data-sent]")) delete form.dataset.sent; });

  let previous = "";
  const move = (step) => {
    const list = all("main :is(tbody tr, .tile)");
    const at = list.findIndex((row) => row.contains(document.activeElement));
    const row = list[Math.min(Math.max(at + step, 0), list.length - 1)];
    row?.querySelector("a, input, button")?.focus();
  };
  const keys = {
    "/": () => document.getElementById("find")?.focus(),
    "?": () => document.getElementById("keys")?.showPopover?.(),
    p: () => document.getElementById("pause")?.click(),
    j: () => move(1),
    k: () => move(-1),
    x: () => document.activeElement.closest("tr")?.querySelector("input[type=checkbox]")?.click(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target.id === "find") event.target.blur();
    if (stored("shortcuts") === "off" || isTyping(event.target) || document.querySelector("[role=dialog]:popover-open")) return;
    const target = previous === "g" && all("[data-go]").find((each) => each.textContent === event.key);
    previous = event.key;
    if (target) { location.assign(target.dataset.go); return; }
    if (Object.hasOwn(keys, event.key)) { event.preventDefault(); keys[event.key](); }
  });

  document.addEventListener("DOMContentLoaded", () => {
    const choice = document.querySelector(`#themes [value="${root.dataset.theme}"]`);
    if (choice) choice.checked = true;
    const shortcuts = document.getElementById("shortcuts");
    if (shortcuts) shortcuts.checked = stored("shortcuts") !== "off";
    showSelection();
  });
})();
