// JSON values written as YAML, as kubectl writes them.

const PLAIN = /^[A-Za-z_/][A-Za-z0-9_./-]*$/;
const MEANS_SOMETHING = /^(true|false|null|yes|no|on|off|y|n)$/i;

/** Return a JSON value as YAML. */
export function toYaml(value, indent = "") {
  if (Array.isArray(value) && value.length) return value.map((one) => `${indent}- ${item(one, indent)}`).join("\n");
  if (isFilled(value)) return Object.entries(value).map(([name, one]) => `${indent}${scalar(name)}:${member(one, indent)}`).join("\n");
  return indent + scalar(value);
}

function item(value, indent) {
  return isFilled(value) ? toYaml(value, `${indent}  `).trimStart() : scalar(value);
}

function member(value, indent) {
  if (!isFilled(value)) return ` ${scalar(value)}`;
  return `\n${toYaml(value, Array.isArray(value) ? indent : `${indent}  `)}`;
}

function isFilled(value) {
  return value !== null && typeof value === "object" && Object.keys(value).length > 0;
}

function scalar(value) {
  if (typeof value !== "string") return JSON.stringify(value);
  return PLAIN.test(value) && !MEANS_SOMETHING.test(value) ? value : JSON.stringify(value);
}
