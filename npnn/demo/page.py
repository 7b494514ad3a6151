"""The page on which one draws.  All that it needs is in it."""

__all__ = ["page"]


def page(title: str) -> str:
    """The page for a network of this name."""
    return PAGE.replace("TITLE", title.replace("&", "&amp;").replace("<", "&lt;"))


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>Draw a digit</title>
<style>
:root { --text: #1a1a1a; --soft: #555; --page: #fff; --line: #ccc; --bar: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8e8; --soft: #aaa; --page: #16181b; --line: #3a3d42; --bar: #56b4e9; } }
body { color: var(--text); background: var(--page); font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem;
  padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0; } p { margin: .3rem 0; color: var(--soft); }
main { display: flex; flex-wrap: wrap; gap: 1.5rem; margin: 1rem 0; }
canvas { image-rendering: pixelated; background: #000; }
#paper { width: min(280px, 86vw); aspect-ratio: 1; touch-action: none; cursor: crosshair; border: 1px solid var(--line); }
#seen { width: 84px; height: 84px; border: 1px solid var(--line); }
button { font: inherit; padding: .3rem 1rem; margin: .5rem .5rem 0 0; }
#answer { font-size: 1.6rem; min-height: 2.4rem; }
table { border-collapse: collapse; } td { padding: 0 .5rem 0 0; } td.bar { width: 12rem; }
td.bar div { background: var(--bar); height: .8rem; width: 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.layer { margin: .6rem 0; } .layer div { display: flex; flex-wrap: wrap; gap: 4px; } .layer canvas { width: 56px; height: 56px; }
</style>
<h1>Draw a digit</h1>
<p>The network: TITLE. Your drawing stays on this computer.</p>
<main>
<div><canvas id="paper" width="280" height="280" aria-label="the paper to draw on"></canvas><br>
<button id="clear">Clear</button></div>
<div><div id="answer" role="status">Draw with mouse or finger.</div><table id="bars"></table></div>
<div><p>What the network is given:</p><canvas id="seen" width="28" height="28"></canvas></div>
</main>
<p>The maps of its layers, the smallest value of a layer black, the largest white:</p>
<div id="layers"></div>
<script>
const paper = document.getElementById("paper"), ink = paper.getContext("2d", {willReadFrequently: true});
const say = text => document.getElementById("answer").textContent = text;
let last = null, waiting = false, again = false;

function clear() {
  ink.fillStyle = "#000"; ink.fillRect(0, 0, 280, 280);
  say("Draw with mouse or finger.");
  document.getElementById("layers").replaceChildren();
  document.getElementById("bars").replaceChildren();
  show(document.getElementById("seen"), {height: 1, width: 1, data: btoa("\\0")});
}

function at(event) {
  const box = paper.getBoundingClientRect();
  return [(event.clientX - box.left) * 280 / box.width, (event.clientY - box.top) * 280 / box.height];
}

function line(from, to) {
  ink.strokeStyle = "#fff"; ink.lineWidth = 22; ink.lineCap = "round";
  ink.beginPath(); ink.moveTo(...from); ink.lineTo(...to); ink.stroke();
}

paper.onpointerdown = event => { paper.setPointerCapture(event.pointerId); last = at(event); line(last, last); ask(); };
paper.onpointermove = event => { if (last) { const now = at(event); line(last, now); last = now; ask(); } };
paper.onpointerup = paper.onpointercancel = () => { last = null; };
document.getElementById("clear").onclick = clear;

function show(canvas, picture) {
  canvas.width = picture.width; canvas.height = picture.height;
  const grey = atob(picture.data), context = canvas.getContext("2d");
  const image = context.createImageData(picture.width, picture.height);
  for (let i = 0; i < grey.length; i++) {
    image.data.fill(grey.charCodeAt(i), 4 * i, 4 * i + 3); image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

async function ask() {  // one question at a time; the newest drawing is asked last
  if (waiting) { again = true; return; }
  waiting = true;
  const pixels = ink.getImageData(0, 0, 280, 280).data, grey = new Uint8Array(280 * 280);
  for (let i = 0; i < grey.length; i++) grey[i] = pixels[4 * i];
  try {
    const reply = await fetch("/answer", {method: "POST", body: grey, headers: {"Content-Type": "application/octet-stream"}});
    if (!reply.ok) throw new Error(await reply.text());
    const answer = await reply.json();
    if (answer.probabilities) tell(answer);
  } catch (error) { say("No answer: " + error.message); }
  waiting = false;
  if (again) { again = false; ask(); }
}

function tell(answer) {
  const best = answer.probabilities.indexOf(Math.max(...answer.probabilities));
  say(`${best}, ${(100 * answer.probabilities[best]).toFixed(1)} %`);
  document.getElementById("bars").replaceChildren(...answer.probabilities.map((p, k) => {
    const row = document.createElement("tr");
    const bar = `<td class="bar"><div style="width:${100 * p}%"></div></td>`;
    row.innerHTML = `<td>${k}</td>${bar}<td class="number">${(100 * p).toFixed(1)} %</td>`;
    return row;
  }));
  show(document.getElementById("seen"), answer.picture);
  document.getElementById("layers").replaceChildren(...answer.layers.map(layer => {
    const part = document.createElement("div"), row = document.createElement("div");
    part.className = "layer"; part.append(layer.name, row);
    for (const map of layer.maps) { const canvas = document.createElement("canvas"); show(canvas, map); row.append(canvas); }
    return part;
  }));
}
clear();
</script>
</html>
"""
