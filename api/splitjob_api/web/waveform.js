// What a stem sounds like, drawn; with the place in the song on it, which a click or a key moves.

import { clock, h } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const COLUMNS = 1000; // of a picture: more than a screen shows are not drawn
const HALF = 128; // the values of 8 bits go this far up and down
const STEPS = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -30, PageUp: 30 };

/** The place of a waveform; empty until it is drawn. `onSeek` is told the seconds to go to. */
export class Waveform {
  constructor(name, seconds, onSeek) {
    this.seconds = seconds;
    this.onSeek = onSeek;
    this.playhead = h("span", { class: "playhead" });
    const slider = { role: "slider", tabindex: -1, "aria-label": `Place in the song, on the waveform of ${name}`, "aria-valuemin": 0, "aria-valuemax": Math.ceil(seconds) };
    this.element = h("div", { class: "waveform", hidden: true, ...slider }, this.playhead);
    this.element.addEventListener("pointerdown", (event) => this.point(event));
    this.element.addEventListener("pointermove", (event) => (event.buttons === 1 ? this.point(event) : null));
    this.element.addEventListener("keydown", (event) => this.press(event));
    this.show(0);
  }

  /** Draw what `GET /jobs/{id}/waveforms/{stem}` has answered. */
  draw(points) {
    this.element.prepend(picture(points, this.seconds));
    this.element.hidden = false;
  }

  /** Move the mark to where the song is. */
  show(seconds) {
    this.place = seconds;
    this.playhead.style.left = `${Math.min(100, (100 * seconds) / this.seconds)}%`;
    this.element.setAttribute("aria-valuenow", Math.round(seconds));
    this.element.setAttribute("aria-valuetext", clock(seconds));
  }

  point(event) {
    const { left, width } = this.element.getBoundingClientRect();
    this.seek(((event.clientX - left) / width) * this.seconds);
  }

  press(event) {
    const places = { Home: 0, End: this.seconds };
    const step = STEPS[event.key];
    const place = step === undefined ? places[event.key] : this.place + step;
    if (place === undefined) return;
    event.preventDefault();
    this.seek(place);
  }

  seek(seconds) {
    this.onSeek(Math.min(Math.max(seconds, 0), this.seconds));
  }
}

// As wide as the song is long: the last point may stand for less than the others do.
function picture(points, seconds) {
  const width = (seconds * points.sample_rate) / points.samples_per_pixel;
  const image = document.createElementNS(SVG, "svg");
  image.setAttribute("viewBox", `0 ${-HALF} ${width} ${2 * HALF}`);
  image.setAttribute("preserveAspectRatio", "none");
  image.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", outline(points));
  image.append(shape);
  return image;
}

// The highest of each column from left to right, then the lowest back again.
function outline({ data }) {
  const length = data.length / 2; // what is there, whatever the file says of it
  const step = Math.max(1, Math.ceil(length / COLUMNS));
  const upper = [];
  const lower = [];
  for (let begin = 0; begin < length; begin += step) {
    let [least, most] = [0, 0];
    const end = Math.min(begin + step, length);
    for (let point = begin; point < end; point += 1) {
      least = Math.min(least, data[2 * point]);
      most = Math.max(most, data[2 * point + 1]);
    }
    // At least a line, so that silence can be told from nothing.
    upper.push(`${begin},${-most - 1} ${end},${-most - 1}`);
    lower.unshift(`${end},${1 - least} ${begin},${1 - least}`);
  }
  return `M${upper.concat(lower).join("L")}Z`;
}
