// The stems of a job side by side: one clock for all, each muted, alone, or louder by itself.

import { ProblemError } from "./client.js";
import { bytes, clock, duration, h } from "./dom.js";
import { Waveform } from "./waveform.js";

const TOGETHER_MILLISECONDS = 500;
const NOTICED_SECONDS = 0.02;
const LOST_SECONDS = 0.5;
const REFUSED = new Set(["stems_elsewhere", "not_completed", "erased", "stem_not_found", "storage_not_configured"]);

/** Return the panel of a job's stems; `signal` ends it. */
export function stemPlayers(api, job, signal) {
  const tracks = job.result.stems.map((stem) => new Track(api, job.jobId, stem));
  const problem = h("p", { class: "problem", role: "alert" });
  const desk = new Desk(tracks, problem);
  signal.addEventListener("abort", () => desk.pause(), { once: true });
  const mixture = drawWaveforms(api, job, desk);
  const list = h("ul", { class: "stems" }, mixture, tracks.map((track) => track.element));
  return h("section", { "aria-labelledby": "stems-title" }, h("h2", { id: "stems-title" }, "Stems"), desk.element, list, problem);
}

/** Draw the waveforms that lie in our bucket; return the row of the song itself, if it has one. */
function drawWaveforms(api, job, desk) {
  const { audio, stems } = job.result;
  const row = isOurs(audio) ? h("li", { "data-stem": "mixture" }, h("strong", {}, "Mixture"), h("small", {}, "the song itself")) : null;
  const places = [[audio, "mixture", row], ...stems.map((stem, place) => [stem, stem.type, desk.tracks[place].element])];
  for (const [about, name, element] of places) {
    if (!isOurs(about)) continue;
    const waveform = desk.addWaveform(name);
    element.append(waveform.element);
    const path = `jobs/${encodeURIComponent(job.jobId)}/waveforms/${encodeURIComponent(name)}`;
    const drawn = api.get(path).then((points) => waveform.draw(points));
    drawn.catch((error) => (error.code === "storage_not_configured" ? null : element.append(h("small", { class: "no-waveform" }, `No waveform: ${error.message}`))));
  }
  return row;
}

function isOurs(about) {
  return about?.waveform?.startsWith("s3://") ?? false;
}

/** One stem: its address is asked for when it is first wanted, and again when it has expired. */
class Track {
  constructor(api, jobId, stem) {
    this.api = api;
    this.stem = stem;
    this.path = `jobs/${encodeURIComponent(jobId)}/stems/${encodeURIComponent(stem.type)}`;
    this.audio = h("audio", { preload: "auto" });
    this.mute = toggle("Mute", stem.type);
    this.solo = toggle("Solo", stem.type);
    this.volume = h("input", { type: "range", min: 0, max: 1, step: 0.01, value: 1, "aria-label": `Volume of ${stem.type}` });
    this.volume.addEventListener("input", () => (this.audio.volume = Number(this.volume.value)));
    const about = [stem.format, bytes(stem.size), duration(stem.duration), stem.silent ? "silent" : null];
    this.element = h(
      "li",
      { "data-stem": stem.type },
      h("strong", {}, stem.name),
      h("small", {}, about.filter(Boolean).join(" · ")),
      h("span", { class: "buttons" }, this.mute, this.solo, this.volume, h("button", { type: "button", onclick: () => this.download() }, "Download")),
      this.audio,
    );
  }

  async address() {
    return this.api.get(this.path);
  }

  async prepare() {
    if (this.audio.src && Date.now() < this.expires) return;
    const { url, expiresAt } = await this.address();
    this.expires = Date.parse(expiresAt) - 5000;
    const place = this.audio.currentTime;
    this.audio.src = url;
    this.audio.currentTime = place;
  }

  async download() {
    const { url } = await this.address();
    h("a", { href: url, download: `${this.stem.type}.${this.stem.format}`, rel: "noreferrer" }).click();
  }
}

/** Plays all tracks by the clock of the first. */
class Desk {
  constructor(tracks, problem) {
    this.tracks = tracks;
    this.waveforms = [];
    this.problem = problem;
    this.playButton = h("button", { type: "button", class: "primary", onclick: () => this.toggle() }, "Play");
    this.place = h("input", { type: "range", min: 0, max: tracks[0]?.stem.duration ?? 0, step: 0.1, value: 0, "aria-label": "Place in the song" });
    this.clock = h("output", {}, "0:00");
    this.place.addEventListener("input", () => this.seek(Number(this.place.value)));
    for (const track of tracks) {
      for (const button of [track.mute, track.solo]) button.addEventListener("click", () => this.mix());
    }
    tracks[0]?.audio.addEventListener("timeupdate", () => this.show());
    tracks[0]?.audio.addEventListener("ended", () => this.pause());
    this.element = h("div", { class: "desk" }, this.playButton, this.place, this.clock);
  }

  /** Return the place of a waveform; one of them all is reached by Tab, the others by a click. */
  addWaveform(name) {
    const waveform = new Waveform(name, this.tracks[0].stem.duration, (seconds) => this.seek(seconds));
    if (this.waveforms.length === 0) waveform.element.tabIndex = 0;
    this.waveforms.push(waveform);
    return waveform;
  }

  async toggle() {
    if (this.together) return this.pause();
    this.problem.textContent = "";
    try {
      await Promise.all(this.tracks.map((track) => track.prepare()));
      await Promise.all(this.tracks.map((track) => track.audio.play()));
    } catch (error) {
      this.pause();
      this.problem.textContent = explain(error);
      return;
    }
    this.playButton.textContent = "Pause";
    this.together = setInterval(() => this.align(), TOGETHER_MILLISECONDS);
    this.follow();
  }

  // Smoother than the few times a second that the browser tells by itself.
  follow() {
    if (!this.together) return;
    this.show();
    requestAnimationFrame(() => this.follow());
  }

  pause() {
    clearInterval(this.together);
    this.together = null;
    this.playButton.textContent = "Play";
    for (const track of this.tracks) track.audio.pause();
  }

  seek(seconds) {
    for (const track of this.tracks) track.audio.currentTime = seconds;
    this.show();
  }

  // Solo beats mute, as on a mixing desk.
  mix() {
    const alone = this.tracks.some((track) => isOn(track.solo));
    for (const track of this.tracks) track.audio.muted = alone ? !isOn(track.solo) : isOn(track.mute);
  }

  // A jump would be heard, so a track that is a little off catches up in steps too small to hear.
  align() {
    const [first, ...others] = this.tracks;
    for (const { audio } of others) {
      const behind = first.audio.currentTime - audio.currentTime;
      if (Math.abs(behind) > LOST_SECONDS) audio.currentTime = first.audio.currentTime;
      audio.playbackRate = Math.abs(behind) > NOTICED_SECONDS ? 1 + Math.sign(behind) * 0.02 : 1;
    }
  }

  show() {
    const seconds = this.tracks[0].audio.currentTime;
    this.place.value = seconds;
    this.clock.textContent = clock(seconds);
    for (const waveform of this.waveforms) waveform.show(seconds);
  }
}

function toggle(name, stem) {
  const button = h("button", { type: "button", "aria-pressed": "false", "aria-label": `${name} ${stem}` }, name);
  button.addEventListener("click", () => button.setAttribute("aria-pressed", String(!isOn(button))));
  return button;
}

function isOn(button) {
  return button.getAttribute("aria-pressed") === "true";
}

function explain(error) {
  if (error instanceof ProblemError && REFUSED.has(error.code)) return error.message;
  if (error instanceof ProblemError) return `The stems cannot be fetched: ${error.message}`;
  return "The browser cannot play these stems: the bucket refuses them, or it does not know their format. Download them instead.";
}
