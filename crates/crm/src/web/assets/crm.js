// What the pages do beyond links and forms, all of which work without it: they show what others change, take cards that are
// dragged, and complete names.
"use strict";

const LOOK_MS = 2000;
const SUGGEST_MS = 200;

const main = () => document.querySelector("main");
const said = document.getElementById("said");
const say = (text) => { if (said.textContent !== text) said.textContent = text; };

/** Puts another state of this page in the place of the present one, and the focus where it was. */
function show(html) {
  const next = new DOMParser().parseFromString(html, "text/html").querySelector("main");
  if (!next) return;
  const focus = document.activeElement && main().contains(document.activeElement) ? document.activeElement.id : "";
  main().replaceWith(document.adoptNode(next));
  if (focus) document.getElementById(focus)?.focus();
}

/** Whether something was typed or chosen that is not sent yet. */
let begun = false;
const begin = (event) => { if (event.target.closest?.("main form[method=post]")) begun = true; };
document.addEventListener("input", begin);
document.addEventListener("change", begin);
document.addEventListener("submit", () => { begun = false; });

/** Whether somebody is in the middle of something that a new state would take away. */
const isBusy = () => begun || dragged !== null || main().contains(document.querySelector("input:focus, select:focus, textarea:focus"));

const NEWER = "Somebody has changed something here. It is shown once you have sent what you have begun, or when you load the page again.";

let looking = false;

/** Asks for a newer state of a page that is kept up to date; the entity tag of the present one makes a "no" cheap. */
async function look() {
  const live = main().dataset.live;
  if (live === undefined || looking || document.hidden) return;
  looking = true;
  try {
    const known = live ? { "If-None-Match": live } : {};
    // Without a word about caches a browser would ask for nothing older than the request, which costs more than a copy that is a second old.
    const headers = { Accept: "text/html", "Cache-Control": "no-store", ...known };
    const answer = await fetch(location.href, { headers, cache: "no-store" });
    const isGone = answer.redirected || answer.status === 403 || answer.status === 404; // signed out meanwhile, or removed
    const next = answer.status === 200 && !answer.redirected ? await answer.text() : "";
    if (isGone && !isBusy()) return location.reload();
    if (next && !isBusy()) show(next);
    const isThere = answer.ok || answer.status === 304;
    if (isThere && !isGone) say(next && live && begun ? NEWER : "");
    else say(isGone ? "What this page shows is not there any more, or not for you." : "The server has no answer just now: what you see may be out of date.");
  } catch {
    say("The server cannot be reached: what you see may be out of date.");
  } finally {
    looking = false;
  }
}
setInterval(look, LOOK_MS);
document.addEventListener("visibilitychange", look);

let dragged = null;

document.addEventListener("dragstart", (event) => {
  dragged = event.target.closest?.(".card[draggable=true]") ?? null;
  if (dragged) event.dataTransfer.setData("text/plain", dragged.id);
});
document.addEventListener("dragend", () => {
  dragged = null;
  document.querySelectorAll(".over").forEach((stage) => stage.classList.remove("over"));
});
document.addEventListener("dragover", (event) => {
  const stage = event.target.closest?.(".stage");
  if (!dragged || !stage) return;
  event.preventDefault();
  document.querySelectorAll(".over").forEach((other) => other.classList.toggle("over", other === stage));
  stage.classList.add("over");
});
document.addEventListener("drop", (event) => {
  const stage = event.target.closest?.(".stage");
  if (!dragged || !stage) return;
  event.preventDefault();
  const form = dragged.querySelector("form");
  const choice = form?.elements.namedItem("stage");
  dragged = null;
  if (!choice || ![...choice.options].some((option) => option.value === stage.id)) return;
  choice.value = stage.id;
  form.requestSubmit();
});

let suggesting = 0;

document.addEventListener("input", (event) => {
  const field = event.target;
  const path = field.dataset?.suggest;
  if (!path || field.value.trim().length < 2) return;
  clearTimeout(suggesting);
  suggesting = setTimeout(async () => {
    const answer = await fetch(`${path}?per_page=10&q=${encodeURIComponent(field.value.trim())}`);
    if (!answer.ok) return;
    const { items } = await answer.json();
    field.list.replaceChildren(...items.map((contact) => {
      const option = document.createElement("option");
      option.value = contact.email ?? contact.name;
      option.label = [contact.name, contact.organisation].filter(Boolean).join(", ");
      return option;
    }));
  }, SUGGEST_MS);
});
