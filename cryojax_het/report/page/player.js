// Series of maps: a slider through their states, with what lies between two of them blended.

class Player {
  constructor(series, show) {
    this.series = series;
    this.show = show; // (series, place)
    this.current = series[0];
    this.place = 0;
    this.forward = true;
    this.slider = make("input", { type: "range", min: "0", value: "0", "aria-label": "State along the series", oninput: () => { this.pause(); this.go(Number(this.slider.value)); } });
    this.button = make("button", { type: "button", onclick: () => (this.timer ? this.pause() : this.play()) }, "Play");
    const options = series.map((one, i) => [String(i), one.label, null]);
    this.choice = choice("Series", options, "0", (key) => { this.pause(); this.choose(Number(key)); });
    this.element = make("div", { class: "bar" }, this.choice.element, this.button, this.slider);
    this.limits();
  }

  limits() {
    this.slider.max = String(this.current.states.length - 1);
    this.slider.step = this.current.smooth ? "0.02" : "1";
  }

  choose(number) {
    this.current = this.series[number];
    this.limits();
    this.go(this.current.smooth ? (this.current.states.length - 1) / 2 : 0);
  }

  go(place) {
    this.place = Math.min(this.current.states.length - 1, Math.max(0, place));
    this.slider.value = String(this.place);
    this.show(this.current, this.place);
  }

  play() {
    this.button.textContent = "Pause";
    let last = performance.now();
    const tick = (now) => {
      if (!this.timer) return;
      const seconds = Math.min(0.2, (now - last) / 1000), end = this.current.states.length - 1;
      const turned = this.current.smooth ? this.smoothly(seconds, end) : this.stepped(now, end);
      if (this.current.smooth || turned) last = now;
      this.timer = requestAnimationFrame(tick);
    };
    this.timer = requestAnimationFrame(tick);
  }

  smoothly(seconds, end) {
    // There and back, in five seconds each way.
    let place = this.place + (this.forward ? 1 : -1) * seconds * Math.max(end, 1) / 5;
    if (place >= end) { this.forward = false; place = end; }
    if (place <= 0) { this.forward = true; place = 0; }
    this.go(place);
    return true;
  }

  stepped(now, end) {
    if (this.stepAt && now - this.stepAt < 900) return false;
    this.stepAt = now;
    this.go(this.place >= end ? 0 : this.place + 1);
    return true;
  }

  pause() {
    cancelAnimationFrame(this.timer);
    this.timer = null;
    this.button.textContent = "Play";
  }
}

function stateMix(series, place) {
  const low = Math.floor(place), high = Math.min(low + 1, series.states.length - 1);
  return blend(mixOf(series.states[low].mix), mixOf(series.states[high].mix), place - low);
}

function stateLatent(series, place) {
  const low = Math.floor(place), high = Math.min(low + 1, series.states.length - 1), share = place - low;
  const a = series.states[low].latent, b = series.states[high].latent;
  return a && b ? a.map((value, i) => (1 - share) * value + share * b[i]) : null;
}
