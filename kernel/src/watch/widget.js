// Draws one machine. Every text that comes from a cell, a message or an error is set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
// How often a view says that it is seen, milliseconds; the kernel stops telling it anything when it has not for long.
const HERE = 10_000;

function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const count = (number) => whole.format(number ?? 0);

function short(number) {
  if (number == null) return "–";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (number >= size) {
      const scaled = number / (unit === "k" ? 1e3 : size);
      return scaled.toFixed(scaled < 10 ? 2 : scaled < 100 ? 1 : 0) + " " + unit;
    }
  }
  return number >= 10 || Number.isInteger(number) ? count(number) : number.toFixed(1);
}

const rate = (number) => short(number) + "/s";

function time(nanos) {
  if (!nanos) return "–";
  for (const [size, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) {
    if (nanos >= size) {
      const scaled = nanos / size;
      return scaled.toFixed(scaled < 10 ? 1 : 0) + " " + unit;
    }
  }
  return nanos + " ns";
}

function span(seconds) {
  if (seconds == null) return "–";
  if (seconds < 60) return time(Math.round(seconds * 1e9));
  if (seconds < 3600) return Math.round(seconds / 60) + " min";
  return (seconds / 3600).toFixed(1) + " h";
}

// A curve of numbers with gaps; its highest value touches the top.
class Curve {
  constructor(height, label) {
    this.height = height;
    this.area = document.createElementNS(SVG, "path");
    this.line = document.createElementNS(SVG, "path");
    this.area.setAttribute("class", "area");
    this.line.setAttribute("class", "curve");
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("viewBox", `0 0 100 ${height}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("height", height);
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", label);
    this.element.append(this.area, this.line);
  }
  draw(values = []) {
    const most = Math.max(1e-9, ...values.map((value) => value ?? 0));
    const x = (at) => ((100 * at) / Math.max(1, values.length - 1)).toFixed(2);
    const y = (value) => (this.height - 0.8 - (this.height - 2) * (value / most)).toFixed(2);
    let line = "", area = "", first = null;
    values.forEach((value, at) => {
      if (value == null) return;
      line += `${first == null ? "M" : "L"}${x(at)} ${y(value)}`;
      first ??= at;
      if (at === values.length - 1 || values[at + 1] == null) {
        area = `${line}L${x(at)} ${this.height}L${x(first)} ${this.height}Z`;
      }
    });
    this.line.setAttribute("d", line);
    this.area.setAttribute("d", area);
    return most < 1e-6 ? 0 : most;
  }
}

class Figure {
  constructor(name, title) {
    this.value = node("b", {}, "–");
    this.name = node("span", {}, name);
    this.element = node("div", { class: "figure", title }, this.value, this.name);
  }
  show(text, kind = "") {
    put(this.value, text);
    if (this.value.className !== kind) this.value.className = kind;
  }
}

// One slot: a room, and the arrow that leads into it.
class Room {
  constructor(index, choose) {
    this.index = index;
    this.type = node("span", { class: "type" });
    this.mark = node("span", { class: "mark" });
    this.arrow = node("div", { class: "arrow" }, this.type, node("span", { class: "shaft", "aria-hidden": "true" }), this.mark);
    this.name = node("b");
    this.cell = node("span");
    this.code = node("code");
    this.ok = node("span");
    this.errored = node("span");
    this.skipped = node("span");
    this.times = node("div", { class: "times" });
    this.curve = new Curve(16, "messages a second, last 5 minutes");
    this.full = node("div", {}, this.code,
      node("div", { class: "count" }, this.ok, this.errored, this.skipped), this.times, this.curve.element);
    this.element = node("button", { class: "room", "aria-expanded": "false", onclick: () => choose(index) },
      node("div", { class: "top" }, this.name, this.cell), this.full);
  }
  plan(slot) {
    put(this.name, slot.slot);
    put(this.cell, slot.empty ? "" : (slot.cell ? `[${slot.cell}]` : "") + (slot.revision > 1 ? ` rev ${slot.revision}` : ""));
    put(this.code, slot.code.split("\n")[0]);
    this.full.hidden = slot.empty;
    this.element.className = slot.empty ? "room empty" : "room";
    this.element.title = slot.empty ? `${slot.slot} is empty: it passes on what it is given`
      : `${slot.slot}${slot.cell ? `, from cell [${slot.cell}]` : ""}\n${slot.code}`;
    const arrow = slot.arrow ?? {};
    this.arrow.hidden = slot.empty;
    this.arrow.className = "arrow " + (arrow.kind ?? "");
    this.arrow.title = arrow.told || arrow.label || "";
    put(this.type, arrow.label ?? "");
    put(this.mark, arrow.kind === "mismatch" ? "✕ no fit" : arrow.kind === "converts" ? "≈ converts" : "");
    this.label = `${slot.slot}: ${slot.code || "empty"}${arrow.told ? `; ${arrow.told}` : ""}`;
  }
  now([ok, errored, skipped, p50, p99, most], retried) {
    put(this.ok, `✓ ${short(ok)}`);
    put(this.errored, errored ? `✕ ${short(errored)}` : "");
    this.errored.className = errored && !retried ? "bad" : "";
    put(this.skipped, skipped ? `↷ ${short(skipped)}` : "");
    this.ok.title = `${count(ok)} ok, ${count(errored)} errored, ${count(skipped)} skipped`;
    put(this.times, `p50 ${time(p50)} · p99 ${time(p99)}`);
    this.times.title = `slowest ${time(most)}`;
    this.element.setAttribute("aria-label", `${this.label}; ${count(ok)} ok, ${count(errored)} errored, ${count(skipped)} skipped`);
  }
}

function render({ model, el }) {
  const tell = (content) => model.send(content);
  let chosen = null;
  const buttons = {};
  const button = (what, sign, title) => {
    buttons[what] = node("button", { title, "aria-label": title, "data-do": what, onclick: () => tell({ do: what }) }, sign);
    return buttons[what];
  };
  const state = node("span", { class: "state", role: "status" });
  const head = node("header", {},
    node("span", { class: "name" }, model.get("machine")), state,
    node("div", { class: "buttons", role: "toolbar", "aria-label": "control" },
      button("start", "▶ start", "start: go on taking messages"), button("pause", "❚❚ pause", "pause: hold between two messages"),
      button("step", "⇥ step", "step: take one message through"), button("drain", "⤓ drain", "drain: wait until the queue is empty"),
      button("stop", "■ stop", "stop: end the workers, keep the queue")));
  const figures = {
    processed: new Figure("processed", "messages that went through all slots"),
    rate_in: new Figure("in", "messages accepted a second"),
    rate_out: new Figure("out", "messages processed a second"),
    errored: new Figure("errored", "messages with at least one error"),
    wait: new Figure("queue delay", "how long a message waits before it is begun: queue over rate"),
    busy: new Figure("busy", "what the workers do"),
    flight: new Figure("in flight", "messages in the slots now"),
    refused: new Figure("refused", "messages that were refused because the queue was full"),
  };
  const loadBusy = node("i"), loadBlocked = node("i", { class: "blocked" });
  const load = node("div", { class: "load", role: "img", hidden: true }, loadBusy, loadBlocked);
  figures.busy.element.append(load);
  const numbers = node("div", { class: "figures" }, ...Object.values(figures).map((figure) => figure.element));
  const queueWords = node("span"), fullWords = node("span"), level = node("i");
  const bar = node("div", { class: "bar", role: "meter", "aria-label": "queue", "aria-valuemin": "0" }, level);
  const queue = node("div", { class: "queue" }, node("div", { class: "words" }, queueWords, fullWords), bar);
  const row = node("div", { class: "row", role: "list", "aria-label": "slots" });
  const detail = node("div", { class: "detail", hidden: true });
  const curves = [["out", "processed/s", ""], ["queue", "queue", "green"], ["errors", "errors/s", "red"]].map(([key, name, kind]) => {
    const curve = new Curve(36, `${name}, last 5 minutes`), most = node("span");
    const element = node("div", { class: kind }, node("div", { class: "words" }, node("span", {}, name), most), curve.element);
    return { key, curve, most, element };
  });
  const past = node("div", { class: "curves" }, ...curves.map((curve) => curve.element));
  const source = node("div", { class: "notice", hidden: true });
  const outputs = node("div", { class: "notice", hidden: true });
  const alerts = node("div", { role: "alert" });
  const told = node("div", { class: "notice", role: "status", hidden: true });
  const retryAll = node("button", { title: "take all dead letters through the slots as they are now", "data-do": "retry",
    onclick: () => tell({ do: "retry" }) }, "↻ retry all");
  const letterCount = node("span"), letterList = node("div");
  const letters = node("section", { hidden: true, "aria-label": "dead letters" }, node("h4", {}, letterCount, retryAll), letterList);
  const root = node("div", { class: "machine-watch", role: "region", "aria-label": `machine ${model.get("machine")}` },
    head, alerts, told, numbers, queue, row, detail, past, source, outputs, letters);
  el.append(root);

  let rooms = [];
  const choose = (index) => {
    chosen = chosen === index ? null : index;
    showDetail();
  };
  const showDetail = () => {
    const slot = (model.get("plan") ?? [])[chosen];
    rooms.forEach((room) => room.element.setAttribute("aria-expanded", String(room.index === chosen)));
    detail.hidden = !slot;
    if (!slot) return;
    const from = slot.empty ? "empty: it passes on what it is given"
      : [`(${slot.takes.join(", ")}) → ${slot.gives}`, slot.cell ? `cell [${slot.cell}]` : "", `revision ${slot.revision}`,
        slot.async ? "async" : "", slot.settings].filter(Boolean).join(" · ");
    const parts = [node("p", {}, `${slot.slot} · ${from}`)];
    if (slot.arrow?.told) parts.push(node("p", { class: slot.arrow.kind === "mismatch" ? "bad" : "warn" }, slot.arrow.told));
    if (!slot.empty) parts.push(node("pre", {}, slot.code));
    detail.replaceChildren(...parts);
  };

  const showPlan = () => {
    const plan = model.get("plan") ?? [];
    // Empty slots behind the last one that is used are left out.
    const used = plan.reduce((last, slot, at) => (slot.empty ? last : at), -1);
    const shown = plan.slice(0, used + 1);
    if (rooms.length !== shown.length) {
      rooms = shown.map((_, index) => new Room(index, choose));
      row.replaceChildren(...rooms.flatMap((room) => [room.arrow, room.element]));
    }
    row.hidden = shown.length === 0;
    shown.forEach((slot, index) => rooms[index].plan(slot));
    showNow();
    showSeries();
    showDetail();
  };

  const showNow = () => {
    const now = model.get("now") ?? {};
    put(state, now.state ?? "");
    state.className = "state " + (now.state ?? "");
    buttons.start.disabled = now.state === "running";
    buttons.pause.disabled = now.state !== "running";
    buttons.step.disabled = now.state === "running" || !now.queue;
    buttons.drain.disabled = now.state !== "running";
    buttons.stop.disabled = now.state === "stopped";
    figures.processed.show(count(now.processed));
    figures.processed.element.dataset.processed = now.processed;
    figures.rate_in.show(rate(now.rate_in));
    figures.rate_out.show(rate(now.rate_out));
    figures.errored.show(count(now.errored) + (now.all_retried ? ", all retried" : ""), now.errored && !now.all_retried ? "bad" : "");
    figures.wait.show(now.wait_seconds === 0 ? "0" : now.wait_seconds == null ? "–" : "≈ " + span(now.wait_seconds));
    const held = now.state !== "running" || now.busy == null;
    const busy = Math.round((now.busy ?? 0) * 100), blocked = Math.min(100 - busy, Math.round((now.blocked ?? 0) * 100));
    const idle = 100 - busy - blocked;
    figures.busy.show(now.state !== "running" ? "held" : held ? "–" : `${busy} %`, blocked >= 50 && !held ? "warn" : "");
    put(figures.busy.name, held ? "busy" : `busy · ${idle} % idle` + (blocked ? ` · ${blocked} % blocked` : ""));
    figures.busy.element.title = held ? "" :
      `of ${count(now.workers)} workers ${busy} % are busy, ${idle} % idle, ${blocked} % blocked: they wait for an output that is full` +
      (now.waiting_puts ? `; ${count(now.waiting_puts)} calls wait for room in the queue` : "");
    load.hidden = held;
    loadBusy.style.width = `${busy}%`;
    loadBlocked.style.width = `${blocked}%`;
    load.setAttribute("aria-label", `workers: ${busy} % busy, ${idle} % idle, ${blocked} % blocked`);
    figures.flight.show(count(now.in_flight));
    figures.refused.show(count((now.refused ?? 0) + (now.discarded ?? 0)), now.refused || now.discarded ? "warn" : "");
    figures.refused.element.title = `${count(now.refused)} refused, ${count(now.discarded)} discarded`;
    const share = now.capacity ? now.queue / now.capacity : 0;
    put(queueWords, `queue ${count(now.queue)} of ${count(now.capacity)}`);
    put(fullWords, now.seconds_to_full != null ? `full in ${span(now.seconds_to_full)}` : `${Math.round(share * 100)} %`);
    level.style.width = `${Math.min(100, share * 100)}%`;
    bar.className = "bar " + (share > 0.85 ? "bad" : share > 0.6 ? "warn" : "");
    bar.setAttribute("aria-valuemax", now.capacity ?? 0);
    bar.setAttribute("aria-valuenow", now.queue ?? 0);
    (now.slots ?? []).forEach((slot, index) => rooms[index]?.now(slot, now.all_retried));
    source.hidden = !now.source && !now.in_hand;
    put(source, [now.source && `source: ${now.source}`, now.in_hand && `in hand: ${now.in_hand}`].filter(Boolean).join("\n"));
    outputs.hidden = !(now.outputs ?? []).length;
    put(outputs, (now.outputs ?? []).map((to) => `→ ${to.kind} ${to.place}: ${count(to.sent)} sent` +
      (to.waiting ? `, ${count(to.waiting)} wait` : "") + (to.lost ? `, ${count(to.lost)} lost` : "") + (to.error ? `: ${to.error}` : "")).join("\n"));
    const listed = (model.get("letters") ?? []).length;
    put(letterCount, `dead letters ${count(now.letters)}` + (now.letters_dropped ? ` (${count(now.letters_dropped)} older ones dropped)` : "") +
      (listed < now.letters ? ` (${count(listed)} shown)` : ""));
    letters.hidden = !now.letters;
  };

  const showSeries = () => {
    const series = model.get("series") ?? {};
    curves.forEach(({ key, curve, most }) => put(most, "peak " + short(curve.draw(series[key] ?? []))));
    rooms.forEach((room) => room.curve.draw(series.slots?.[room.index]?.rate ?? []));
  };

  const letterNode = (letter, open) => {
    const more = letter.input_bytes > letter.input.length ? ` (the beginning of ${count(letter.input_bytes)} bytes)` : "";
    return node("details", { open },
      node("summary", {}, node("b", {}, letter.slot), node("time", {}, letter.time.slice(11, 19)),
        node("span", { class: "error" }, letter.error.split("\n")[0])),
      node("div", { class: "fold" }, `${letter.kind} in ${letter.slot}, revision ${letter.revision}`, node("pre", {}, letter.error),
        `message ${letter.oid}${more}`, node("pre", {}, letter.input),
        node("button", { title: "take this message through the slots as they are now", onclick: () => tell({ do: "retry", oid: letter.oid }) }, "↻ retry")));
  };

  // A letter that stays keeps its element, and that its place in the page: the focus, and a click that is on its way.
  let shown = new Map();
  const showLetters = () => {
    const now = new Map();
    for (const letter of model.get("letters") ?? []) {
      const key = letter.oid + letter.slot, content = JSON.stringify(letter), before = shown.get(key);
      const same = before?.content === content;
      now.set(key, same ? before : { content, element: letterNode(letter, Boolean(before?.element.open)) });
    }
    const elements = [...now.values()].map(({ element }) => element), stay = new Set(elements);
    shown.forEach(({ element }) => stay.has(element) || element.remove());
    let place = letterList.firstChild;
    for (const element of elements) {
      if (element === place) place = place.nextSibling;
      else letterList.insertBefore(element, place);
    }
    shown = now;
  };

  const showAlerts = () => {
    const holding = (model.get("alerts") ?? []).filter((alert) => alert.holds);
    alerts.replaceChildren(...holding.map((alert) => node("div", { class: "notice alert" }, `⚠ ${alert.rule}`)));
  };

  const showTold = () => {
    const { text, failed } = model.get("told") ?? {};
    const gone = model.get("gone");
    root.classList.toggle("gone", Boolean(gone));
    put(told, gone || text || "");
    told.hidden = !told.textContent;
    told.classList.toggle("bad", Boolean(gone || failed));
  };

  // The theme is that of the page, whichever way it is told.
  const theme = () => {
    const [red, green, blue] = (getComputedStyle(root).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
    root.classList.toggle("dark", 0.3 * red + 0.6 * green + 0.1 * blue < 128);
  };
  const themes = new MutationObserver(theme);
  themes.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-name", "data-jp-theme-light"] });

  const here = () => document.visibilityState === "visible" && root.isConnected && tell({ do: "here" });
  const timer = setInterval(here, HERE);
  document.addEventListener("visibilitychange", here);

  const listen = { plan: showPlan, now: showNow, series: showSeries, letters: showLetters, alerts: showAlerts, told: showTold, gone: showTold };
  for (const [key, show] of Object.entries(listen)) model.on(`change:${key}`, show);
  showPlan();
  showLetters();
  showAlerts();
  showTold();
  requestAnimationFrame(() => { theme(); here(); });

  return () => {
    clearInterval(timer);
    themes.disconnect();
    document.removeEventListener("visibilitychange", here);
    for (const [key, show] of Object.entries(listen)) model.off(`change:${key}`, show);
  };
}

export default { render };
