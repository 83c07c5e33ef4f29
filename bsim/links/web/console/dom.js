// Small helpers: elements are made, never parsed from text, so that nothing a card says can become markup.

export const $ = (id) => document.getElementById(id);

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

let hiding;

export function toast(text) {
  const shown = $("toast");
  shown.textContent = text;
  shown.classList.add("up");
  clearTimeout(hiding);
  hiding = setTimeout(() => shown.classList.remove("up"), 5000);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    toast("this browser does not let pages copy here");
  }
}

// A number that stands for a text: for colours and shapes that are the same each time.
export function hash(text) {
  let sum = 2166136261;
  for (const character of text) sum = Math.imul(sum ^ character.codePointAt(0), 16777619);
  return sum >>> 0;
}
