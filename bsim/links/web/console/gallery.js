// Pictures of collectibles: the picture itself where it is in the card as a data: URI of a harmless kind, else a tile made from the
// token's identity. Nothing is fetched from anywhere.

import { el, hash, svg } from "./dom.js";

const PICTURES = /^data:image\/(png|jpeg|gif|webp|avif|svg\+xml)(;charset=[\w-]+)?(;base64)?,/i;
const TEXT = /^data:text\/plain(;charset=[\w-]+)?,/i;

export function asset(one) {
  const name = one.name || `#${one.token_id}`;
  const more = [one.standard, one.amount === "1" ? "" : `× ${one.amount}`, one.state === "leaving" ? "leaving" : ""].filter(Boolean).join(" · ");
  return el(
    "li",
    { class: one.state === "leaving" ? "asset leaving" : "asset", "data-number": one.number },
    picture(one, name),
    el("strong", { title: name }, name),
    el("span", { class: "dim", title: `${one.contract} #${one.token_id}` }, more),
  );
}

function picture(one, name) {
  // An image element runs no script of an SVG and loads nothing that it names.
  if (PICTURES.test(one.media)) return el("img", { src: one.media, alt: name, loading: "lazy", width: 160, height: 160 });
  if (TEXT.test(one.media)) return el("p", { class: "words-of" }, plain(one.media));
  return tile(`${one.family}${one.chain_id}${one.contract}${one.token_id}`, name);
}

function plain(media) {
  try {
    return decodeURIComponent(media.slice(media.indexOf(",") + 1));
  } catch {
    return media;
  }
}

// Calm geometry: a ground, and a few arcs and discs whose places and hues come from a hash.
export function tile(identity, name) {
  let state = hash(identity);
  const next = (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 4294967296) * most);
  };
  const hue = next(360);
  const colour = (turn, light) => `hsl(${(hue + turn) % 360} 34% ${light}%)`;
  const shapes = [svg("rect", { width: 100, height: 100, fill: colour(0, 32) })];
  for (let at = 0; at < 4; at += 1) {
    const shape = { cx: next(5) * 25, cy: next(5) * 25, r: 14 + next(4) * 9 };
    const fill = colour([24, 48, 180, 336][at], 46 + next(28));
    shapes.push(next(3) ? svg("circle", { ...shape, fill, opacity: 0.85 }) : svg("circle", { ...shape, fill: "none", stroke: fill, "stroke-width": 7 }));
  }
  return svg("svg", { viewBox: "0 0 100 100", class: "tile", role: "img", "aria-label": name }, ...shapes);
}

// Five by five squares, the right half as the left: an account at a glance.
export function badge(address) {
  const bits = hash(address);
  const hue = bits % 360;
  const squares = [];
  for (let at = 0; at < 15; at += 1) {
    if (!((bits >>> at) & 1)) continue;
    const column = Math.floor(at / 5);
    for (const x of column === 2 ? [2] : [column, 4 - column]) squares.push(svg("rect", { x, y: at % 5, width: 1, height: 1 }));
  }
  return svg("svg", { viewBox: "-1 -1 7 7", class: "badge", "aria-hidden": "true", fill: `hsl(${hue} 45% 48%)` }, ...squares);
}
