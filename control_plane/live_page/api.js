// Shows /docs/openapi.json: every operation with its parameters and an example of each answer.

const element = (tag, text, ...children) => {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
};

const json = (value) => element("pre", JSON.stringify(value, null, 2));

function examplesOf(content) {
  const [media] = Object.values(content ?? {});
  return Object.entries(media?.examples ?? {}).map(([name, example]) => [name, example.value]);
}

function operation(method, path, details) {
  const summary = element("summary", "", element("b", method.toUpperCase()), element("code", path),
    element("span", (details.description ?? "").split("\n")[0]));
  const body = element("div", "", element("p", details.description));
  for (const parameter of details.parameters ?? []) {
    const need = parameter.required ? "required" : "optional";
    body.append(element("p", "", element("code", parameter.name),
      ` (${parameter.in}, ${need}) ${parameter.description ?? ""}`));
  }
  for (const [, value] of examplesOf(details.requestBody?.content)) {
    body.append(element("h3", "Request"), json(value));
  }
  for (const [status, answer] of Object.entries(details.responses)) {
    body.append(element("h3", `${status} ${answer.description}`));
    body.append(...examplesOf(answer.content).map(([, value]) => json(value)));
  }
  return element("details", "", summary, body);
}

const specification = await (await fetch("/docs/openapi.json")).json();
const groups = new Map();
for (const [path, methods] of Object.entries(specification.paths)) {
  for (const [method, details] of Object.entries(methods)) {
    const tag = details.tags?.[0] ?? "other";
    groups.set(tag, [...(groups.get(tag) ?? []), operation(method, path, details)]);
  }
}
document.getElementById("description").textContent = specification.info.description;
const sections = [...groups].map(([tag, operations]) => element("section", "", element("h2", tag), ...operations));
document.getElementById("operations").replaceChildren(...sections);
