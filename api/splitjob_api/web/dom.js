// Elements, and how times, sizes and states are written.

/** Return an element. `on…` are listeners, `false` and null leave an attribute out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Return a description list of the pairs whose value is there. */
export function facts(pairs) {
  const there = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, there.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function badge(state) {
  return h("span", { class: `badge ${state}` }, state);
}

/** Return a moment as people say it, with the exact time when one points at it. */
export function moment(timestamp) {
  if (!timestamp) return null;
  const date = new Date(timestamp);
  const element = h("time", { datetime: date.toISOString(), title: date.toLocaleString() }, ago(date));
  element.classList.add("ago");
  return element;
}

/** Write every moment on the page anew: what was a minute ago becomes two. */
export function refreshMoments() {
  for (const element of document.querySelectorAll("time.ago")) {
    element.textContent = ago(new Date(element.dateTime));
  }
}

function ago(date) {
  const seconds = (Date.now() - date.getTime()) / 1000;
  if (seconds < -1) return `in ${duration(-seconds)}`;
  return seconds < 5 ? "now" : `${duration(seconds)} ago`;
}

/** Return seconds as people say them: 42 s, 3 min, 2 h 10 min, 4 d. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} d`;
}

/** Return a place in a song as players show it: 1:05. */
export function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

export function bytes(size) {
  if (size < 1000) return `${size} B`;
  const units = ["kB", "MB", "GB"];
  let value = size;
  let unit = -1;
  while (value >= 1000 && unit < 2) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

/** Return a name for programs, such as `PullingImage`, as words for people: `pulling image`. */
export function words(name) {
  return name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
