// Values of charts at the pointer, at a tap, and for the keyboard: Tab enters a chart, arrows move from point to point.
// Without this script the browser still shows the title of each point.
const tip = document.createElement("div");
tip.id = "tip";
tip.setAttribute("role", "status");
tip.hidden = true;
document.body.append(tip);

for (const mark of document.querySelectorAll(".mark")) {
  const title = mark.querySelector("title");
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", title.textContent);
  mark.setAttribute("tabindex", "-1");
  title.remove(); // the browser would show it as well
}

function show(mark) {
  tip.textContent = mark.getAttribute("aria-label");
  tip.hidden = false;
  const at = (mark.querySelector(":not(.hit)") || mark).getBoundingClientRect();
  const width = tip.offsetWidth, height = tip.offsetHeight, edge = 8;
  const left = Math.min(Math.max(at.left + at.width / 2 - width / 2, edge), innerWidth - width - edge);
  const above = at.top - height - 10;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > edge ? above : at.bottom + 10}px`;
}
function hide() { tip.hidden = true; }

document.addEventListener("pointerover", event => {
  const mark = event.target.closest ? event.target.closest(".mark") : null;
  if (mark) show(mark); else hide();
});
document.addEventListener("focusin", event => { if (event.target.matches(".mark")) show(event.target); });
document.addEventListener("focusout", hide);
document.addEventListener("scroll", () => {
  const mark = document.querySelector(".mark:hover, .mark:focus");
  if (mark) show(mark); else hide();
}, {passive: true, capture: true});
document.addEventListener("keydown", event => {
  if (event.key === "Escape") hide();
  const chart = event.target.closest(".chart");
  const move = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  if (!chart || !move) return;
  event.preventDefault();
  const marks = [...chart.querySelectorAll(".mark")];
  const here = marks.indexOf(event.target);
  const next = here < 0 ? (move > 0 ? 0 : marks.length - 1) : Math.min(Math.max(here + move, 0), marks.length - 1);
  if (marks[next]) marks[next].focus();
});
