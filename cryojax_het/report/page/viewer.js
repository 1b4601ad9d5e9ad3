// Isosurfaces by casting rays through a 3-D texture, in WebGL 2.

class Viewer {
  constructor(info, low, high) {
    this.info = info;
    this.range = [low, high];
    this.turn = [1, 0, 0, 0, 1, 0, 0, 0, 1]; // rows: molecule to eye
    this.zoom = 1;
    this.centre = [0, 0];
    this.level = info.level;
    this.coarse = 2; // until it is known how fast drawing is
    this.canvas = make("canvas", { tabindex: "0", role: "img", "aria-label": "Density surface. Drag or arrow keys turn it, wheel or plus and minus zoom." });
    this.scale = make("div", { class: "scale" });
    this.element = make("div", { class: "view" }, this.canvas, this.scale);
    const [z, y, x] = info.shape;
    this.extent = [x, y, z].map((n) => n * info.voxel / 2);
    this.gl = this.canvas.getContext("webgl2", { antialias: false, alpha: true, premultipliedAlpha: true, preserveDrawingBuffer: true });
    if (!this.gl) {
      this.element.append(make("div", { class: "fault" }, "This browser gives no WebGL 2: volumes cannot be drawn. The rest of the page works."));
      return;
    }
    this.prepare();
    this.listen();
    new ResizeObserver(() => this.filled && this.draw()).observe(this.element);
  }

  prepare() {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, name] of [[gl.VERTEX_SHADER, "surface.vert"], [gl.FRAGMENT_SHADER, "surface.frag"]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, document.getElementById(name).textContent.trim());
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    this.place = (name) => gl.getUniformLocation(program, name);
    gl.bindTexture(gl.TEXTURE_3D, gl.createTexture());
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) gl.texParameteri(gl.TEXTURE_3D, side, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    const [z, y, x] = this.info.shape;
    gl.texStorage3D(gl.TEXTURE_3D, 1, gl.R8, x, y, z);
  }

  show(bytes) {
    if (!this.gl) return;
    const [z, y, x] = this.info.shape, gl = this.gl;
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, 0, x, y, z, gl.RED, gl.UNSIGNED_BYTE, bytes);
    this.filled = true;
    this.moving();
  }

  moving() {
    // Coarser pixels while something moves where drawing is slow; full ones when it rests.
    clearTimeout(this.rest);
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      const start = performance.now();
      this.draw(this.coarse);
      this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits
      const took = performance.now() - start;
      if (took > 45) this.coarse = Math.min(5, this.coarse * 1.3);
      else if (took < 16) this.coarse = Math.max(1, this.coarse / 1.1);
      this.rest = setTimeout(() => this.draw(), 160);
    });
  }

  draw(coarse = 1) {
    const gl = this.gl;
    if (!gl || !this.element.clientWidth) return;
    const dots = Math.min(window.devicePixelRatio || 1, 2) / coarse;
    const width = Math.max(1, Math.round(this.element.clientWidth * dots)), height = Math.max(1, Math.round(this.element.clientHeight * dots));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    gl.viewport(0, 0, width, height);
    const half = this.half(), t = this.turn, [low, high] = this.range;
    gl.uniformMatrix3fv(this.place("turn"), false, [t[0], t[3], t[6], t[1], t[4], t[7], t[2], t[5], t[8]]);
    gl.uniform2f(this.place("window"), half * width / height, half);
    gl.uniform2f(this.place("centre"), ...this.centre);
    gl.uniform3f(this.place("extent"), ...this.extent);
    gl.uniform1f(this.place("voxel"), this.info.voxel);
    gl.uniform1f(this.place("threshold"), (this.level - low) / (high - low));
    gl.uniform3f(this.place("tint"), 0.50, 0.66, 0.80);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    this.measure(half);
  }

  half() { return 0.92 * Math.max(...this.extent) / this.zoom; } // Å, of the canvas's height

  measure(half) {
    const target = half * 0.4, power = 10 ** Math.floor(Math.log10(target));
    const length = power * (target / power >= 5 ? 5 : target / power >= 2 ? 2 : 1);
    this.scale.style.width = `${length / (2 * half) * this.element.clientHeight}px`;
    this.scale.textContent = `${number(length)} Å`;
  }

  rotate(dx, dy) {
    // Radians about the eye's y and x.
    const [cx, sx, cy, sy] = [Math.cos(dy), Math.sin(dy), Math.cos(dx), Math.sin(dx)];
    const about = [cy, 0, sy, sx * sy, cx, -sx * cy, -cx * sy, sx, cx * cy], t = this.turn;
    this.turn = about.map((_, i) => [0, 1, 2].reduce((s, k) => s + about[3 * Math.floor(i / 3) + k] * t[3 * k + i % 3], 0));
    this.moving();
  }

  magnify(factor) { this.zoom = Math.min(12, Math.max(0.4, this.zoom * factor)); this.moving(); }

  threshold(level) { this.level = level; this.moving(); }

  home() { Object.assign(this, { turn: [1, 0, 0, 0, 1, 0, 0, 0, 1], zoom: 1, centre: [0, 0] }); this.moving(); }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); this.from = [event.clientX, event.clientY]; });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.from || !event.buttons) return;
      const dx = event.clientX - this.from[0], dy = event.clientY - this.from[1];
      this.from = [event.clientX, event.clientY];
      if (event.shiftKey || event.buttons === 2) {
        const unit = 2 * this.half() / this.element.clientHeight;
        this.centre = [this.centre[0] - dx * unit, this.centre[1] + dy * unit];
        this.moving();
      } else this.rotate(dx / 120, dy / 120);
    });
    canvas.addEventListener("pointerup", () => { this.from = null; });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.magnify(Math.exp(-event.deltaY / 600)); }, { passive: false });
    const step = 0.12, keys = {
      ArrowLeft: () => this.rotate(-step, 0), ArrowRight: () => this.rotate(step, 0),
      ArrowUp: () => this.rotate(0, -step), ArrowDown: () => this.rotate(0, step),
      "+": () => this.magnify(1.15), "=": () => this.magnify(1.15), "-": () => this.magnify(1 / 1.15), Home: () => this.home(),
    };
    canvas.addEventListener("keydown", (event) => {
      if (!keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
  }
}
