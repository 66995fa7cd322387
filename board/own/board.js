// Keeps a page current: ages of moments, the charts, and a warning when the page is old. Without it the page still says
// what was true when it was loaded.
"use strict";

// The clock of the browser may be off. Ages go by the server's.
let ahead = Date.now() - Date.parse(document.documentElement.dataset.now);
let heard = Date.now();

function age(seconds) {
  if (seconds < 1.5) return "just now";
  if (seconds < 120) return `${Math.floor(seconds)} s ago`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

function tellAges(root) {
  for (const time of root.querySelectorAll("time[data-ago]")) {
    const text = age((Date.now() - ahead - Date.parse(time.dateTime)) / 1000);
    time.title ||= time.textContent;
    if (time.textContent !== text) time.textContent = text;
  }
}

const stale = document.getElementById("stale");
function tellStale() {
  const now = document.getElementById("now");
  const old = Math.floor((Date.now() - heard) / 1000);
  const isOld = now !== null && !document.hidden && old > 5;
  if (isOld) stale.textContent = `No answer for ${old} s: this page is old. Millrace or its database may be down.`;
  stale.hidden = !isOld;
}

tellAges(document);
setInterval(() => {
  tellAges(document);
  tellStale();
}, 1000);

document.addEventListener("visibilitychange", () => { heard = Date.now(); });
document.body.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});
document.body.addEventListener("htmx:afterRequest", (event) => {
  const status = event.detail.xhr.status;
  if (status === 200 || status === 204) heard = Date.now();
});
document.body.addEventListener("htmx:afterSwap", () => tellAges(document));

// "/" leads to the search field.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "")) return;
  event.preventDefault();
  document.getElementById("q").focus();
});

// Charts.
const board = document.querySelector("[data-history]");
let plots = [];
let latest = null;

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function short(value, unit) {
  if (value == null) return "–";
  if (unit === "s" && value > 0 && value < 1) return `${Math.round(value * 1000)} ms`;
  const text = value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(value < 1 ? 2 : 1);
  return unit ? `${text} ${unit}` : text;
}

// gaps puts a hole where samples are missing, so that no line is drawn over a time in which nothing ran.
function gaps(times, lines, span) {
  const x = [], ys = lines.map(() => []);
  times.forEach((time, i) => {
    if (i > 0 && time - times[i - 1] > 2.5 * span) {
      x.push(times[i - 1] + span);
      ys.forEach((y) => y.push(null));
    }
    x.push(time);
    ys.forEach((y, n) => y.push(lines[n][i]));
  });
  return [x, ...ys];
}

// marks draws a line where a version appeared.
function marks(list) {
  return {hooks: {draw: [(u) => {
    const {ctx, bbox} = u;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = color("--mark");
    ctx.font = `${11 * devicePixelRatio}px system-ui`;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const mark of list) {
      if (mark.at < u.scales.x.min || mark.at > u.scales.x.max) continue;
      const x = Math.round(u.valToPos(mark.at, "x", true));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const right = x > bbox.left + bbox.width * 0.7;
      ctx.textAlign = right ? "right" : "left";
      ctx.fillText(mark.version.slice(0, 24), x + (right ? -4 : 4) * devicePixelRatio, bbox.top + 11 * devicePixelRatio);
    }
    ctx.restore();
  }]}};
}

function draw() {
  plots.forEach((plot) => plot.destroy());
  plots = [];
  for (const element of board.querySelectorAll(".chart")) {
    const names = element.dataset.names.split(",");
    const unit = element.dataset.unit ?? "";
    element.replaceChildren();
    if (latest.times.length < 2) {
      const empty = document.createElement("p");
      empty.className = "empty";
      empty.textContent = "No samples yet. There is one every ten seconds.";
      element.append(empty);
      continue;
    }
    const lines = element.dataset.lines.split(" ").map((name) => latest.lines[name]);
    const axis = {stroke: color("--soft"), grid: {stroke: color("--line"), width: 1}, ticks: {show: false}, font: "11px system-ui"};
    const caption = element.parentElement.querySelector("figcaption").textContent;
    element.setAttribute("aria-label", `${caption}. Now ${lines.map((line, i) =>
      `${names[i]} ${short(line.at(-1), unit)}`).join(", ")}.`);
    plots.push(new uPlot({
      width: element.clientWidth, height: 165, cursor: {y: false}, plugins: [marks(latest.marks)],
      scales: {y: {range: (u, min, max) => [0, max > 0 ? max * 1.15 : 1]}},
      axes: [{...axis, values: "{HH}:{mm}", space: 60}, {...axis, size: 48, values: (u, ticks) => ticks.map((t) => short(t, unit))}],
      series: [{value: (u, v) => v == null ? "–" : new Date(v * 1000).toLocaleTimeString()}, ...names.map((label, i) => ({
        label, stroke: color(`--line-${i + 1}`), width: 1.75, points: {show: false}, value: (u, v) => short(v, unit),
        dash: [[], [6, 3], [2, 3]][i],
      }))],
    }, gaps(latest.times, lines, latest.span), element));
  }
}

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(board.dataset.history);
    if (!answer.ok) return;
    latest = await answer.json();
    draw();
  } catch {
    // The warning above reports that nothing answers.
  }
}

if (board) {
  refresh();
  setInterval(refresh, 10000);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => latest && draw());
  let width = innerWidth;
  addEventListener("resize", () => {
    if (latest && innerWidth !== width) draw();
    width = innerWidth;
  });
}
