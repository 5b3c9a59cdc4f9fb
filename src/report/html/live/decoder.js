/* What the model of this page makes of latents, in plain JavaScript: its decoder and, where the page holds it, the encoder that
   tells the classes. Every layer with weights is a convolution; src/nn/written.rs says what a layer computes. An image is a flat
   array, row by row, channels last; sums are in 64 bits. Nothing here knows of the page, so that a worker can do it too. */
"use strict";

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/* IEEE 754 binary16, finite, to binary32. */
function widened(halves) {
  return Float32Array.from(halves, (half) => {
    const exponent = (half >> 10) & 31, fraction = half & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
    return half >> 15 ? -size : size;
  });
}

/* The model of a page, each layer and each latent with its numbers, which lie one after the other in two lists. */
function opened(page) {
  const bytes = bytesOf(page.weights).buffer;
  const weights = page.bits === 16 ? widened(new Uint16Array(bytes)) : new Float32Array(bytes);
  const numbers = new Float32Array(bytesOf(page.numbers).buffer);
  let atWeight = 0, atNumber = 0;
  const next = (count) => numbers.subarray(atNumber, (atNumber += count));
  const rows = (count, size) => Array.from({ length: count }, () => next(size));
  const convolution = (layer) => {
    const count = layer.kernel * layer.kernel * layer.input[2] * layer.output[2];
    const weight = weights.subarray(atWeight, (atWeight += count));
    const filled = { ...layer, weight, scale: layer.scaled ? next(layer.output[2]) : null, shift: next(layer.output[2]) };
    return layer.upsampled ? doubled(filled) : filled;
  };
  const network = (layers) => layers.map((layer) => {
    if (layer.branch) {
      return { ...layer, branch: layer.branch.map(convolution), skip: layer.skip && convolution(layer.skip) };
    }
    return layer.kernel ? convolution(layer) : layer;
  });
  return {
    ...page, weights: null, numbers: null,
    decoder: network(page.decoder),
    classifier: page.classifier && network(page.classifier),
    latents: page.latents.map((latent) => ({
      ...latent, means: rows(page.classOf.length, latent.size), priors: rows(latent.priors, latent.size),
      mean: next(latent.size), axes: rows(latent.directions, latent.size), deviations: next(latent.directions),
    })),
  };
}

/* Up-sampling by 2 and a transposed convolution are one of stride 2: each weight is the sum of the 2 x 2 that meet there. */
function doubled(layer) {
  const { kernel, weight } = layer, size = layer.input[2] * layer.output[2], wide = kernel + 1;
  const sums = new Float32Array(wide * wide * size);
  for (let u = 0; u < kernel; u++) for (let v = 0; v < kernel; v++) for (let corner = 0; corner < 4; corner++) {
    const to = ((u + (corner >> 1)) * wide + v + (corner & 1)) * size, from = (u * kernel + v) * size;
    for (let i = 0; i < size; i++) sums[to + i] += weight[from + i];
  }
  return { ...layer, kernel: wide, stride: 2, weight: sums };
}

function convolved(layer, x) {
  const { kernel, stride, padding, transposed, weight } = layer;
  const [height, width, inputs] = layer.input, [rows, columns, outputs] = layer.output;
  const [small, large] = transposed ? [[height, width], [rows, columns]] : [[rows, columns], [height, width]];
  const y = new Float64Array(rows * columns * outputs), numbers = new Float64Array(inputs + 3), places = new Int32Array(inputs + 3);
  for (let u = 0; u < kernel; u++) for (let v = 0; v < kernel; v++) {
    const tap = (u * kernel + v) * inputs * outputs;
    for (let r = 0; r < small[0]; r++) for (let c = 0; c < small[1]; c++) {
      const row = stride * r + u - padding, column = stride * c + v - padding;
      if (row < 0 || row >= large[0] || column < 0 || column >= large[1]) continue;
      const inSmall = r * small[1] + c, inLarge = row * large[1] + column;
      const from = (transposed ? inSmall : inLarge) * inputs, to = (transposed ? inLarge : inSmall) * outputs;
      /* The inputs that are not 0, four at a time: each sum is read and written less often. */
      let count = 0;
      for (let i = 0; i < inputs; i++) if (x[from + i] !== 0) [numbers[count], places[count++]] = [x[from + i], tap + i * outputs];
      for (; count & 3; count++) [numbers[count], places[count]] = [0, tap];
      for (let i = 0; i < count; i += 4) {
        const a = numbers[i], b = numbers[i + 1], c = numbers[i + 2], d = numbers[i + 3];
        const p = places[i], q = places[i + 1], s = places[i + 2], t = places[i + 3];
        for (let o = 0; o < outputs; o++) y[to + o] += a * weight[p + o] + b * weight[q + o] + c * weight[s + o] + d * weight[t + o];
      }
    }
  }
  for (let i = 0; i < y.length; i += outputs) {
    for (let o = 0; o < outputs; o++) y[i + o] = (layer.scale ? layer.scale[o] : 1) * y[i + o] + layer.shift[o];
  }
  return layer.pooled ? pooled(rectified(y, layer), layer.output) : rectified(y, layer);
}

function rectified(x, { slope }) {
  if (slope !== 1) for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] *= slope;
  return x;
}

/* The largest of every 2 x 2 pixels. */
function pooled(x, [height, width, channels]) {
  const rows = height >> 1, columns = width >> 1, y = new Float64Array(rows * columns * channels).fill(-Infinity);
  for (let r = 0; r < 2 * rows; r++) for (let c = 0; c < 2 * columns; c++) for (let o = 0; o < channels; o++) {
    const at = ((r >> 1) * columns + (c >> 1)) * channels + o;
    y[at] = Math.max(y[at], x[(r * width + c) * channels + o]);
  }
  return y;
}

function through(layers, x) {
  return layers.reduce((a, layer) => {
    if (layer.kernel) return convolved(layer, a);
    if (!layer.branch) return rectified(Float64Array.from(a), layer);
    const y = layer.branch.reduce((h, part) => convolved(part, h), a), skip = layer.skip ? convolved(layer.skip, a) : a;
    return rectified(y.map((number, i) => layer.times * number + skip[i]), layer);
  }, x);
}

function softmax(logits) {
  const powers = new Float64Array(logits.length);
  let largest = -Infinity, sum = 0;
  for (let i = 0; i < logits.length; i++) if (logits[i] > largest) largest = logits[i];
  for (let i = 0; i < logits.length; i++) sum += powers[i] = Math.exp(logits[i] - largest);
  for (let i = 0; i < logits.length; i++) powers[i] /= sum;
  return powers;
}

/* p(x|z) for all latents side by side. Grey digits: the probabilities of the 256 levels of each pixel. Others: the parameters of the
   mixture of each pixel, as src/kernels/logistic_mixture orders them. */
function decoded(model, latents) {
  const y = through(model.decoder, latents);
  if (model.mixture) return y;
  const levels = 256, pixels = y.length / levels, p = new Float64Array(y.length);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const row = new Float64Array(levels);
    for (let level = 0; level < levels; level++) {
      /* The published code reads the block with the channels first as rows of 256. */
      const place = pixel * levels + level;
      row[level] = model.channelsFirst ? y[(place % pixels) * levels + Math.floor(place / pixels)] : y[place];
    }
    p.set(softmax(row), pixel * levels);
  }
  return p;
}

/* The level of a pixel by its probabilities. */
const LEVEL = {
  median(p) { let sum = 0, level = -1; while (sum < 0.5 && level < 255) sum += p[++level]; return level; },
  mean(p) { return Math.round(p.reduce((sum, probability, level) => sum + probability * level, 0)); },
  mode(p) { return p.reduce((best, probability, level) => (probability > p[best] ? level : best), 0); },
};

/* The levels to be shown of what `decoded` gives: by a rule of LEVEL or, of a mixture, the mean of the likeliest component. */
function levelsOf(model, output, rule) {
  const channels = model.image[2], pixels = model.image[0] * model.image[1], levels = new Uint8Array(pixels * channels);
  const size = output.length / pixels;
  for (let pixel = 0; pixel < pixels; pixel++) {
    const row = output.subarray(pixel * size, (pixel + 1) * size);
    if (!model.mixture) { levels[pixel] = LEVEL[rule](row); continue; }
    const count = size / (channels === 1 ? 3 : 10);
    let best = 0;
    for (let i = 1; i < count; i++) if (row[i] > row[best]) best = i;
    const group = (number) => row[number * count + best], within = (value) => Math.min(1, Math.max(0, value));
    const values = [within(group(1))];
    if (channels === 3) {
      values.push(within(group(2) + Math.tanh(group(3)) * values[0]));
      values.push(within(group(4) + Math.tanh(group(5)) * values[0] + Math.tanh(group(6)) * values[1]));
    }
    values.forEach((value, channel) => { levels[pixel * channels + channel] = Math.round(255 * value); });
  }
  return levels;
}

/* q(y|x) of an image of these levels; nothing where the page has no encoder. */
function classified(model, levels) {
  return model.classifier && softmax(through(model.classifier, Float64Array.from(levels, (level) => level / 255)));
}

/* The answer to a request of the page. */
function answered(model, { latents, rule }) {
  const begun = performance.now(), levels = levelsOf(model, decoded(model, latents), rule);
  return { levels, classes: classified(model, levels), milliseconds: performance.now() - begun };
}
