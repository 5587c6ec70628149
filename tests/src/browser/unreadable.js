// What on this page somebody could not read or not use, a line each.
const found = [];
const page = document.documentElement;

// WCAG 2.1: the contrast of text and what is behind it is at least 4.5.
const channel = (value) => (value <= 10.31 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
const light = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
const colour = (text) => text.match(/[\d.]+/g).map(Number);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const behind = colour(getComputedStyle(at).backgroundColor);
    if (behind.length < 4 || behind[3] === 1) return behind;
  }
  return [255, 255, 255];
};
const contrast = (element) => {
  const [one, other] = [colour(getComputedStyle(element).color), ground(element)].map(light);
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
};
for (const element of document.querySelectorAll("body *:not(option)")) {
  const says = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (says && element.checkVisibility() && contrast(element) < 4.5) {
    found.push(`contrast ${contrast(element).toFixed(1)}: ${element.innerText.slice(0, 40)}`);
  }
}

for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
  const named = field.ariaLabel || [...field.labels].some((label) => label.textContent.trim());
  if (!named) found.push(`without a label: ${field.name}`);
}
for (const element of document.querySelectorAll("a, button, summary")) {
  if (!element.ariaLabel && !element.innerText.trim()) found.push(`without a name: ${element.outerHTML.slice(0, 80)}`);
}

// Neither the page nor a part of it has to be moved sideways.
for (const element of [page, ...document.querySelectorAll("body *")]) {
  const moves = element === page || ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
  if (moves && element.scrollWidth > element.clientWidth) {
    found.push(`wider than its place: ${element.tagName} ${element.className}, ${element.scrollWidth} for ${element.clientWidth}`);
  }
}
return found;
