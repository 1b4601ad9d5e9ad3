// A mix is a Map from the number of a map to its weight: one map, a blend of two neighbours, or a
// mean and its components at a latent. Mixes of mixes are mixes.

function mixOf(pairs) {
  const mix = new Map();
  for (const [key, weight] of pairs) mix.set(key, (mix.get(key) || 0) + weight);
  return mix;
}

function blend(first, second, share) {
  const mix = new Map();
  for (const [key, weight] of first) mix.set(key, (1 - share) * weight);
  for (const [key, weight] of second) mix.set(key, (mix.get(key) || 0) + share * weight);
  for (const [key, weight] of mix) if (Math.abs(weight) < 1e-6) mix.delete(key);
  return mix;
}

class Maps {
  constructor(info) {
    this.info = info;
    this.codes = info.entries.map(() => null);
    const height = Math.abs(info.top) || 1;
    // Densities that the texture holds; what lies beyond is cut, far from any threshold.
    this.low = Math.min(0, info.level) - 0.25 * height;
    this.high = 1.15 * info.top + 1e-12;
  }

  async load(numbers) {
    await Promise.all(numbers.map(async (n) => {
      if (!this.codes[n]) this.codes[n] = await blobBytes(this.info.entries[n].blob);
    }));
  }

  async mixed(mix) {
    await this.load([...mix.keys()]);
    const count = this.info.shape.reduce((a, b) => a * b, 1);
    const sum = (this.sum ||= new Float32Array(count)), out = (this.out ||= new Uint8Array(count));
    const unit = 255 / (this.high - this.low);
    let constant = -this.low;
    for (const [n, weight] of mix) constant += weight * this.info.entries[n].offset;
    sum.fill(constant * unit + 0.5);
    for (const [n, weight] of mix) {
      const codes = this.codes[n], factor = weight * this.info.entries[n].scale * unit;
      for (let i = 0; i < count; i++) sum[i] += factor * codes[i];
    }
    for (let i = 0; i < count; i++) out[i] = sum[i] < 0 ? 0 : sum[i] > 255 ? 255 : sum[i];
    return out;
  }

  distance(first, second) {
    // How far two mixes can differ in density at most, over the height of the map.
    let most = 0;
    for (const key of new Set([...first.keys(), ...second.keys()])) {
      const change = Math.abs((first.get(key) || 0) - (second.get(key) || 0));
      most = Math.max(most, change * this.info.entries[key].scale * 255);
    }
    return most / (Math.abs(this.info.top) || 1);
  }
}
