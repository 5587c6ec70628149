// Renews a progress, and knows some keys. Every page works without it.
"use strict";

const progress = document.getElementById("progress");

async function renew() {
  try {
    const answer = await fetch(progress.dataset.from, { headers: { Accept: "text/html" } });
    if (answer.ok) progress.innerHTML = await answer.text();
  } catch {
    // The next one tells.
  }
  goOn();
}

function goOn() {
  if (!progress.querySelector("[data-over]")) return setTimeout(renew, 500);
  // What is over cannot be stopped.
  document.getElementById("stop")?.remove();
}
if (progress) goOn();

let row = -1;

function move(by) {
  const links = [...document.querySelectorAll("tbody a.row")];
  if (links.length === 0) return;
  row = Math.min(Math.max(row + by, 0), links.length - 1);
  links[row].focus();
  links[row].scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "j") return move(1);
  if (event.key === "k") return move(-1);
  if (event.key === "/") {
    const filter = document.querySelector("[data-filter]");
    if (filter) {
      event.preventDefault();
      filter.focus();
    }
    return;
  }
  const link = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
  if (link) link.click();
});
