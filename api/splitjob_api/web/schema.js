// Shapes of bodies and answers, as tables.

import { h } from "./dom.js";
import { inline } from "./markdown.js";

/** Return a table of fields; `rows` are {name, schema, required}. */
export function fields(description, rows) {
  const body = rows.map(({ name, schema, required }) =>
    h("tr", {}, h("th", { scope: "row" }, h("code", {}, name), required ? h("small", {}, "required") : null), h("td", {}, type(schema), h("div", {}, ...inline(about(schema))))),
  );
  return h("table", {}, h("tbody", {}, body));
}

/** Return all shapes that have a name. */
export function schemaSection(description) {
  const given = Object.entries(description.components?.schemas ?? {});
  const sections = given.map(([name, schema]) =>
    h("details", { id: `schema-${name}` }, h("summary", {}, h("code", {}, name)), ...inline(schema.description ?? ""), shape(description, schema)),
  );
  return h("section", { "aria-labelledby": "shapes" }, h("h2", { id: "shapes" }, "Shapes"), ...sections);
}

function shape(description, schema) {
  if (!schema.properties) return h("p", {}, type(schema));
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties).map(([name, one]) => ({ name, schema: one, required: required.has(name) }));
  return fields(description, rows);
}

function type(schema) {
  const known = kinds(schema);
  return h("span", {}, ...known.flatMap((one, place) => (place ? [" or ", one] : [one])));
}

function kinds(schema = {}) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return [h("a", { href: `#schema-${name}` }, name)];
  }
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (choices) return choices.flatMap(kinds);
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one));
  if (schema.type === "array") return [h("span", {}, "list of ", type(schema.items))];
  return [[schema.type ?? "any"].flat().join(" or ") + (schema.format ? ` (${schema.format})` : "")];
}

function about(schema) {
  const given = [schema.description ?? ""];
  if (schema.default !== undefined && schema.default !== null) given.push(`Default: \`${JSON.stringify(schema.default)}\`.`);
  for (const [name, words] of [["minimum", "At least"], ["maximum", "At most"], ["maxLength", "Characters at most:"], ["maxItems", "Entries at most:"]]) {
    const limit = schema[name] ?? schema.anyOf?.find((one) => name in one)?.[name];
    if (limit !== undefined) given.push(`${words} ${limit}.`);
  }
  return given.filter(Boolean).join(" ");
}
