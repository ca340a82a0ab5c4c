// Draws images of a program: the operations that gdbench/programs.py defines, on typed arrays. It stands alone, because a
// worker is made of its text. Values are {d: Float32Array, s: shape}, without a batch; sums are in double precision.
function interpreter() {
  "use strict";

  function readTensors(bytes) { // the safetensors layout: length of the header, header, data
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const start = 8 + Number(view.getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
    const tensors = {};
    for (const [name, one] of Object.entries(header)) {
      if (name === "__metadata__") continue;
      const data = bytes.slice(start + one.data_offsets[0], start + one.data_offsets[1]);
      tensors[name] = { d: one.dtype === "F16" ? halves(new Uint16Array(data.buffer)) : new Float32Array(data.buffer), s: one.shape };
    }
    return tensors;
  }

  function halves(from) {
    const to = new Float32Array(from.length);
    for (let i = 0; i < from.length; i++) {
      const h = from[i], exponent = (h >> 10) & 31, fraction = h & 1023, sign = h & 32768 ? -1 : 1;
      to[i] = sign * (exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15));
    }
    return to;
  }

  function bytesOf(base64) {
    const text = atob(base64), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  // a (m, k) by rows b (p, k): c[row * stride + column], four rows and two columns at a time. a has 4 * ceil(m / 4) rows,
  // b an even number.
  function product(a, b, c, m, k, p) {
    for (let j = 0; j < p; j += 2) {
      const last = j + 1 < p;
      for (let i = 0; i < m; i += 4) {
        let x = j * k, y = x + k, r = i * k, s = r + k, t = s + k, u = t + k;
        let s00 = 0, s01 = 0, s10 = 0, s11 = 0, s20 = 0, s21 = 0, s30 = 0, s31 = 0;
        for (const stop = x + k; x < stop; x++, y++, r++, s++, t++, u++) {
          const v = b[x], w = b[y], a0 = a[r], a1 = a[s], a2 = a[t], a3 = a[u];
          s00 += a0 * v; s01 += a0 * w; s10 += a1 * v; s11 += a1 * w;
          s20 += a2 * v; s21 += a2 * w; s30 += a3 * v; s31 += a3 * w;
        }
        let at = i * p + j;
        c[at] = s00; if (last) c[at + 1] = s01;
        if (i + 1 < m) { at += p; c[at] = s10; if (last) c[at + 1] = s11; }
        if (i + 2 < m) { at += p; c[at] = s20; if (last) c[at + 1] = s21; }
        if (i + 3 < m) { at += p; c[at] = s30; if (last) c[at + 1] = s31; }
      }
    }
  }

  const even = (n) => n + (n & 1);

  function rowsOf(data, m, k) { // with zero rows up to a multiple of four
    const to = new Float32Array(4 * Math.ceil(m / 4) * k);
    to.set(data);
    return to;
  }

  // Windows of maps (c, h, w) as rows: height by width pixels from (top, left) of each place, zero outside.
  function windows(x, c, h, w, height, width, top, left, to) {
    let at = 0;
    for (let i = 0; i < h; i++) for (let j = 0; j < w; j++) for (let n = 0; n < c; n++) {
      for (let u = 0; u < height; u++) {
        const row = i + u + top, inside = row >= 0 && row < h, base = (n * h + row) * w;
        for (let v = 0; v < width; v++) {
          const column = j + v + left;
          to[at++] = inside && column >= 0 && column < w ? x[base + column] : 0;
        }
      }
    }
  }

  const scratch = {}; // buffers by what they are for, grown as needed
  function buffer(name, size) {
    if (!scratch[name] || scratch[name].length < size) scratch[name] = new Float32Array(size);
    return scratch[name];
  }

  function convolver(weight, bias) { // "same" convolution of an odd size
    const [m, c, size] = weight.s, k = c * size * size, rows = rowsOf(weight.d, m, k), pad = (size - 1) / 2;
    return (x, out) => {
      const [, h, w] = x.s, p = h * w, b = buffer("windows", even(p) * k);
      windows(x.d, c, h, w, size, size, -pad, -pad, b);
      product(rows, b, out, m, k, p);
      if (bias) addBias(out, bias.d, m, p);
    };
  }

  function addBias(out, bias, m, p) {
    for (let i = 0, at = 0; i < m; i++) for (const stop = at + p, b = bias[i]; at < stop; at++) out[at] += b;
  }

  // A 3x3 convolution of repeated pixels: each of the four pixels that one becomes sees 2x2 pixels, with summed weights.
  function doublingConvolver(weight, bias) {
    const [m, c] = weight.s, k = c * 4, parts = [];
    const which = [[0, 1, 1], [0, 0, 1]]; // for an even and an odd row: the source row of each tap
    for (let a = 0; a < 2; a++) for (let b = 0; b < 2; b++) {
      const rows = new Float32Array(4 * Math.ceil(m / 4) * k);
      for (let n = 0; n < m * c; n++) for (let u = 0; u < 3; u++) for (let v = 0; v < 3; v++) {
        rows[n * 4 + which[a][u] * 2 + which[b][v]] += weight.d[n * 9 + u * 3 + v];
      }
      parts.push({ a, b, rows });
    }
    return (x, out) => {
      const [, h, w] = x.s, p = h * w, cols = buffer("windows", even(p) * k), part = buffer("part", m * p);
      for (const { a, b, rows } of parts) {
        windows(x.d, c, h, w, 2, 2, a - 1, b - 1, cols);
        product(rows, cols, part, m, k, p);
        for (let n = 0, from = 0; n < m; n++) for (let i = 0; i < h; i++) {
          for (let j = 0, at = ((n * h + i) * 2 + a) * 2 * w + b; j < w; j++, at += 2) out[at] = part[from++] + (bias ? bias.d[n] : 0);
        }
      }
    };
  }

  // A 3x3 transposed convolution of stride 2, then the filter [1, 3, 3, 1] in both directions, times 4.
  function doublingFilter(weight) {
    const [m, c] = weight.s, rows = new Float32Array(4 * Math.ceil(m * 9 / 4) * c);
    for (let o = 0; o < m; o++) for (let n = 0; n < c; n++) for (let t = 0; t < 9; t++) rows[(o * 9 + t) * c + n] = weight.d[(o * c + n) * 9 + t];
    return (x, out) => {
      const [, h, w] = x.s, p = h * w, cols = buffer("windows", even(p) * c), part = buffer("part", m * 9 * p);
      for (let n = 0, from = 0; n < c; n++) for (let i = 0; i < p; i++) cols[i * c + n] = x.d[from++];
      product(rows, cols, part, m * 9, c, p);
      const high = 2 * h + 3, wide = 2 * w + 3, big = buffer("big", high * wide), half = buffer("half", high * 2 * w);
      for (let o = 0; o < m; o++) { // a frame of one zero pixel stands around each map
        big.fill(0, 0, high * wide);
        for (let t = 0; t < 9; t++) {
          const u = (t / 3) | 0, v = t % 3;
          for (let i = 0, from = (o * 9 + t) * p; i < h; i++) for (let j = 0, at = (2 * i + u + 1) * wide + v + 1; j < w; j++, at += 2) big[at] += part[from++];
        }
        for (let i = 0; i < high; i++) for (let j = 0, at = i * wide; j < 2 * w; j++, at++) half[i * 2 * w + j] = (big[at] + big[at + 3] + 3 * (big[at + 1] + big[at + 2])) / 4;
        for (let i = 0, s = 2 * w; i < 2 * h; i++) for (let j = 0; j < s; j++) {
          const at = i * s + j;
          out[(o * 2 * h + i) * s + j] = (half[at] + half[at + 3 * s] + 3 * (half[at + s] + half[at + 2 * s])) / 4;
        }
      }
    };
  }

  // Twice the size: nearest repeats, bilinear and fir weigh the two nearest by 3 to 1; beyond the edge is the edge, or zero.
  function upsample(x, out, mode) {
    const [c, h, w] = x.s, W = 2 * w;
    if (mode === "nearest") {
      for (let n = 0, at = 0; n < c; n++) for (let i = 0; i < 2 * h; i++) for (let j = 0; j < W; j++) out[at++] = x.d[(n * h + (i >> 1)) * w + (j >> 1)];
      return;
    }
    const beyond = mode === "fir" ? 0 : 1, half = buffer("half", h * W);
    const mix = (near, far, there) => 0.75 * near + 0.25 * (there ? far : beyond * near);
    for (let n = 0; n < c; n++) {
      for (let i = 0; i < h; i++) for (let j = 0, from = (n * h + i) * w; j < w; j++) {
        half[i * W + 2 * j] = mix(x.d[from + j], x.d[from + j - 1], j > 0);
        half[i * W + 2 * j + 1] = mix(x.d[from + j], x.d[from + j + 1], j + 1 < w);
      }
      for (let i = 0, at = n * 4 * h * w; i < h; i++) for (let j = 0; j < W; j++) {
        out[at + 2 * i * W + j] = mix(half[i * W + j], half[(i - 1) * W + j], i > 0);
        out[at + (2 * i + 1) * W + j] = mix(half[i * W + j], half[(i + 1) * W + j], i + 1 < h);
      }
    }
  }

  const pixels = (x) => (x.s.length === 3 ? x.s[1] * x.s[2] : 1);

  // Kind -> a function of an operation's tensors and values that gives a function (inputs, get) -> value, where get(shape)
  // is a value of that shape that is used again for every image.
  const KINDS = {
    linear: ({ weight, bias }, { gain, bias_gain }) => ([x], get) => {
      const [m, k] = weight.s, out = get([m]);
      for (let i = 0, at = 0; i < m; i++) {
        let sum = 0;
        for (let j = 0; j < k; j++) sum += weight.d[at++] * x.d[j];
        out.d[i] = gain * sum + (bias ? bias_gain * bias.d[i] : 0);
      }
      return out;
    },
    concat: () => (inputs, get) => {
      const out = get([inputs.reduce((n, x) => n + x.d.length, 0)]);
      let at = 0;
      for (const x of inputs) { out.d.set(x.d, at); at += x.d.length; }
      return out;
    },
    slice: (_, { start, stop }) => ([x]) => ({ d: x.d.subarray(start, stop), s: [stop - start] }),
    reshape: (_, { shape }) => ([x]) => ({ d: x.d, s: shape }),
    constant: ({ value }) => () => value,
    conv: ({ weight, bias }, { up }) => {
      const run = (up === 2 && weight.s[2] === 3 ? doublingConvolver : convolver)(weight, bias), first = up === 2 && weight.s[2] !== 3;
      return ([x], get) => {
        const [, h, w] = x.s, out = get([weight.s[0], up * h, up * w]);
        if (first) {
          const wide = { d: buffer("wide", 4 * x.d.length), s: [x.s[0], 2 * h, 2 * w] };
          upsample(x, wide.d, "nearest");
          run(wide, out.d);
        } else run(x, out.d);
        return out;
      };
    },
    modulated_conv: ({ weight, bias }, { demodulate, up, eps }) => {
      const [m, c, size] = weight.s, squares = new Float64Array(m * c), scale = new Float64Array(m);
      for (let i = 0, area = size * size; i < m * c; i++) for (let t = 0; t < area; t++) squares[i] += weight.d[i * area + t] ** 2;
      const run = up ? doublingFilter(weight) : convolver(weight);
      return ([x, style], get) => {
        const [, h, w] = x.s, out = get([m, up ? 2 * h : h, up ? 2 * w : w]), styled = { d: buffer("styled", x.d.length), s: x.s }, p = h * w;
        for (let n = 0, at = 0; n < c; n++) for (let i = 0, s = style.d[n]; i < p; i++, at++) styled.d[at] = x.d[at] * s;
        run(styled, out.d);
        for (let i = 0; i < m; i++) {
          let sum = eps;
          for (let n = 0; n < c; n++) sum += style.d[n] ** 2 * squares[i * c + n];
          scale[i] = demodulate ? 1 / Math.sqrt(sum) : 1;
        }
        for (let i = 0, at = 0, q = pixels(out); i < m; i++) for (let j = 0, s = scale[i], b = bias ? bias.d[i] : 0; j < q; j++, at++) out.d[at] = out.d[at] * s + b;
        return out;
      };
    },
    norm: ({ mean, var: variance, weight, bias }, { eps }) => ([x, gain, shift], get) => {
      const out = get(x.s), p = pixels(x), g = gain || weight, b = shift || bias;
      for (let n = 0, at = 0; n < x.s[0]; n++) {
        const s = (g ? g.d[n] : 1) / Math.sqrt(variance.d[n] + eps), t = (b ? b.d[n] : 0) - mean.d[n] * s;
        for (let i = 0; i < p; i++, at++) out.d[at] = x.d[at] * s + t;
      }
      return out;
    },
    activate: (_, { slope, gain, clamp = Infinity }) => ([x], get) => {
      const out = get(x.s), below = slope * gain, from = x.d, to = out.d;
      for (let i = 0; i < to.length; i++) { const v = from[i]; to[i] = v < 0 ? below * v : gain * v; }
      if (clamp < Infinity) for (let i = 0; i < to.length; i++) to[i] = Math.min(clamp, Math.max(-clamp, to[i]));
      return out;
    },
    tanh: () => ([x], get) => {
      const out = get(x.s);
      for (let i = 0; i < out.d.length; i++) out.d[i] = Math.tanh(x.d[i]);
      return out;
    },
    add: () => ([x, y], get) => {
      const out = get(x.s);
      for (let i = 0; i < out.d.length; i++) out.d[i] = x.d[i] + y.d[i];
      return out;
    },
    add_map: ({ value }) => ([x], get) => {
      const out = get(x.s), p = pixels(x);
      for (let n = 0, at = 0; n < x.s[0]; n++) for (let i = 0; i < p; i++, at++) out.d[at] = x.d[at] + value.d[i];
      return out;
    },
    upsample: (_, { mode }) => ([x], get) => {
      const out = get([x.s[0], 2 * x.s[1], 2 * x.s[2]]);
      upsample(x, out.d, mode);
      return out;
    },
    pixel_norm: (_, { eps }) => ([x], get) => {
      const out = get(x.s), p = pixels(x), c = x.s[0];
      for (let i = 0; i < p; i++) {
        let sum = 0;
        for (let n = 0; n < c; n++) sum += x.d[n * p + i] ** 2;
        const s = 1 / Math.sqrt(sum / c + eps);
        for (let n = 0; n < c; n++) out.d[n * p + i] = x.d[n * p + i] * s;
      }
      return out;
    },
    lerp: ({ centre }, { weight }) => ([x], get) => {
      const out = get(x.s);
      for (let i = 0; i < out.d.length; i++) out.d[i] = centre.d[i] + weight * (x.d[i] - centre.d[i]);
      return out;
    },
  };

  function compiled(ops, tensors) {
    const steps = ops.map((op) => {
      const own = {}, kept = { d: null, s: [] };
      for (const [role, name] of Object.entries(op.tensors)) own[role] = tensors[name];
      const get = (shape) => {
        const size = shape.reduce((a, b) => a * b, 1);
        if (!kept.d || kept.d.length !== size) kept.d = new Float32Array(size);
        kept.s = shape;
        return kept;
      };
      return { op, get, run: KINDS[op.kind](own, op.values) };
    });
    return (values) => {
      let last = Object.values(values)[0];
      for (const { op, get, run } of steps) last = values[op.output] = run(op.inputs.map((name) => values[name]), get);
      return last;
    };
  }

  // {draw(normals, label), render(code, label)} -> {d, s}; what they give is theirs until the next call.
  function machine(program, tensors) {
    const value = (array) => ({ d: array, s: [array.length] });
    const inputs = (name, array, label) => (label ? { [name]: value(array), label: value(label) } : { [name]: value(array) });
    const made = {}, part = (name) => (made[name] = made[name] || compiled(program[name], tensors)); // when first used
    return { draw: (normals, label) => part("draw")(inputs("normal", normals, label)), render: (code, label) => part("render")(inputs("code", code, label)) };
  }

  function coloured({ d, s: [c, h, w] }) { // RGBA bytes of an image in [-1, 1]
    const p = h * w, to = new Uint8ClampedArray(4 * p);
    for (let i = 0; i < p; i++) {
      for (let n = 0; n < 3; n++) to[4 * i + n] = 127.5 * (d[(c === 1 ? 0 : n) * p + i] + 1);
      to[4 * i + 3] = 255;
    }
    return to;
  }

  function serve() { // what a worker does: first the programs, then one image for each message
    const machines = {};
    onmessage = ({ data }) => {
      if (data.programs) {
        const tensors = readTensors(data.bytes);
        for (const [space, program] of Object.entries(data.programs)) machines[space] = machine(program, tensors);
        return;
      }
      const pixels = coloured(machines[data.space].render(data.code, data.label));
      postMessage({ id: data.id, pixels }, [pixels.buffer]);
    };
  }

  return { readTensors, bytesOf, machine, coloured, serve };
}
