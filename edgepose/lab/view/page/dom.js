// Elements made by hand: every text is a text node, so no name that comes from outside is ever read as HTML.

/** An element; `properties` are attributes, `text` its text, `on...` listeners. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "text") made.textContent = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key.startsWith("aria-")) made.setAttribute(key, String(value));
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Set a text only where it changes: nothing is laid out anew for nothing. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A number for a person: few digits, a unit. */
export function number(value, digits, unit = "") {
  return Number.isFinite(value) ? `${value.toFixed(digits)}${unit ? `\u202f${unit}` : ""}` : "–";
}

/** One of several words in the singular or the plural. */
export function counted(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

/** m:ss.t of seconds. */
export function clock(seconds) {
  const whole = Math.max(0, seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = (whole % 60).toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
