"""The CustomResourceDefinition of SplitJob, built of `splitjob.spec` and `splitjob.status`.

`python -m splitjob.crd` prints it as YAML; the chart ships that output, and a contract test keeps
the two equal. What a JSON schema cannot say stands here as CEL rules, which the API server
evaluates on every write, whoever makes it.

Source of the structural form: https://kubernetes.io/docs/tasks/extend-kubernetes/
custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

import sys
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel

from splitjob.resource import GROUP, KIND, MAX_NAME_LENGTH, PLURAL, SHORT_NAMES, SINGULAR, VERSION
from splitjob.spec import SplitJobSpec
from splitjob.status import SplitJobStatus

Schema = dict[str, Any]

KIND_DESCRIPTION = (
    "SplitJob asks for one song to be separated into stems, and says what became of it. Create "
    "one, watch its phase, read the stems' addresses in status.result. To cancel it, set "
    "spec.canceled to true; to forget it, delete it."
)
HIDDEN_URL = (
    "must be a URL without '?': what follows it is a bearer secret. Put the whole URL into a "
    f"Secret of type {GROUP}/source and name its key in secretKey"
)


class Rule(NamedTuple):
    """One CEL rule.

    Attributes:
        path: the property it stands on, from the root; `*` enters a map's values.
        rule: the expression that must be true.
        message: what to tell whoever broke it.
    """

    path: str
    rule: str
    message: str


RULES = (
    Rule(
        "",
        f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
        f"the name may have at most {MAX_NAME_LENGTH} characters: Jobs and Pods are named after it",
    ),
    Rule(
        "",
        "!self.metadata.name.contains('.')",
        "the name must not contain a dot: Pods are named after it, and theirs are host names",
    ),
    Rule(
        "spec.request",
        "self == oldSelf",
        "the request cannot be changed; create another SplitJob instead",
    ),
    Rule(
        "spec.request",
        "has(self.secretName) || !(has(self.source.secretKey) || has(self.webhook.secretKey)"
        " || (has(self.uploads) && self.uploads.exists(k, has(self.uploads[k].secretKey)"
        " || has(self.uploads[k].headers))))",
        "secretKey is the key of a Secret, and headers have their values in one: name that Secret "
        "in secretName",
    ),
    Rule(
        "spec.request",
        "!self.remainder || has(self.stems)",
        "remainder is the mixture minus the stems asked for: name those in stems",
    ),
    Rule(
        "spec.request",
        "!has(self.bitDepth) || self.format == 'wav'"
        " || (self.format == 'flac' && self.bitDepth != 32)",
        "bitDepth goes with format wav (16, 24, 32) and flac (16, 24) only",
    ),
    Rule(
        "spec.request",
        "!has(self.bitrateKbps) || self.format in ['mp3', 'm4a', 'opus']",
        "bitrateKbps goes with format mp3, m4a and opus only",
    ),
    Rule(
        "spec.request",
        "!has(self.residualTo) || self.clipMode == 'exact'",
        "residualTo goes with clipMode exact only",
    ),
    Rule(
        "spec.request",
        "self.clipMode != 'exact' || (self.format in ['wav', 'flac'] && has(self.bitDepth)"
        " && self.bitDepth != 16)",
        "clipMode exact goes with format wav (bitDepth 24, 32) and flac (bitDepth 24) only",
    ),
    Rule(
        "spec.request",
        "self.clipMode != 'exact' || !self.remainder",
        "clipMode exact gives all stems, so that there is no remainder",
    ),
    Rule(
        "spec.request",
        "!has(self.uploads) || 'manifest' in self.uploads",
        "uploads needs an entry called manifest: without it nobody can tell that the set is whole",
    ),
    Rule(
        "spec.request",
        "!has(self.uploads) || !has(self.stems) || self.stems.all(s, s in self.uploads)",
        "uploads needs an entry for each of stems",
    ),
    Rule(
        "spec.request",
        "!has(self.uploads) || !self.remainder || !has(self.stems) || (self.stems.size() == 1"
        " ? 'no_' + self.stems[0] in self.uploads : 'remainder' in self.uploads)",
        "uploads needs an entry for the remainder: no_<stem> for one stem, remainder for several",
    ),
    Rule(
        "spec.request",
        "!has(self.uploads) || self.waveforms || !self.uploads.exists(k, k.endsWith('.waveform'))",
        "uploads has an entry for a waveform: ask for them with waveforms",
    ),
    Rule(
        "spec.request",
        "!has(self.uploads) || !self.waveforms || self.uploads.all(k, k == 'manifest'"
        " || k.endsWith('.waveform') || k + '.waveform' in self.uploads)",
        "with waveforms, uploads needs an entry <stem>.waveform for each stem",
    ),
    Rule(
        "spec.request",
        "!has(self.uploads) || !self.waveforms || 'mixture.waveform' in self.uploads",
        "with waveforms, uploads needs an entry called mixture.waveform",
    ),
    Rule(
        "spec.request",
        "!has(self.uploads) || !has(self.residualTo) || self.residualTo in self.uploads",
        "uploads needs an entry for the stem that residualTo names",
    ),
    Rule("spec.request.source.url", "!self.contains('?')", HIDDEN_URL),
    Rule("spec.request.webhook.url", "!self.contains('?')", HIDDEN_URL),
    Rule("spec.request.uploads.*.url", "!self.contains('?')", HIDDEN_URL),
    Rule(
        "spec.canceled",
        "self || !oldSelf",
        "a canceled SplitJob stays canceled; create another one instead",
    ),
    Rule("spec.erase", "self || !oldSelf", "what was to be erased cannot be brought back"),
    Rule("spec.redeliveries", "self >= oldSelf", "redeliveries only grows"),
)

LIST_TYPES: dict[str, Schema] = {
    "spec.request.stems": {"x-kubernetes-list-type": "set"},
    "spec.request.webhook.events": {"x-kubernetes-list-type": "set"},
    "spec.request.uploads.*.headers": {"x-kubernetes-list-type": "set"},
    "status.conditions": {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    },
    "status.attempts": {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["number"],
    },
    "status.result.stems": {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    },
}


class Column(NamedTuple):
    """One column of `kubectl get splitjobs`; priority 1 shows with `-o wide` only."""

    name: str
    type: str
    path: str
    description: str
    priority: int = 0


COLUMNS = (
    Column("Phase", "string", ".status.phase", "Where it stands."),
    Column("Model", "string", ".spec.request.model", "The separation model."),
    Column("Progress", "integer", ".status.progress.percent", "Per cent of the whole job."),
    Column("Queue", "integer", ".status.queue.position", "Position while it waits; 1 is next."),
    Column("Waiting", "string", ".status.queue.reason", "Why it does not run yet."),
    Column("ETA", "integer", ".status.queue.etaSeconds", "Expected seconds until it is done."),
    Column(
        "Notified",
        "string",
        '.status.conditions[?(@.type=="Notified")].status',
        "Whether the final webhook was delivered.",
    ),
    Column("Age", "date", ".metadata.creationTimestamp", "Since it was accepted."),
    Column(
        "Reason",
        "string",
        '.status.conditions[?(@.type=="Succeeded")].reason',
        "How it ended, or that it has not.",
        1,
    ),
    Column("Job", "string", ".status.jobName", "The Job of the latest attempt.", 1),
    Column("Node", "string", ".status.attempts[-1:].nodeName", "Where that ran.", 1),
    Column(
        "Duration-ms",
        "integer",
        ".status.result.processingTimeMs",
        "The worker's whole run, in milliseconds.",
        1,
    ),
)

SELECTABLE_FIELDS = (
    ".status.phase",
    ".spec.request.versionId",
    ".spec.request.model",
    ".spec.request.source.url",
)


def custom_resource_definition() -> Schema:
    """Return the CustomResourceDefinition as an object of `apiextensions.k8s.io/v1`."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": SINGULAR,
                "shortNames": list(SHORT_NAMES),
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(one) for one in COLUMNS],
                    "selectableFields": [{"jsonPath": path} for path in SELECTABLE_FIELDS],
                    "schema": {"openAPIV3Schema": root_schema()},
                }
            ],
        },
    }


def root_schema() -> Schema:
    """Return the structural schema of a whole SplitJob, rules and list types included."""
    root: Schema = {
        "type": "object",
        "description": KIND_DESCRIPTION,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{KIND}."},
            "metadata": {"type": "object"},
            "spec": structural(SplitJobSpec),
            "status": _without_defaults(structural(SplitJobStatus)),
        },
    }
    for path, rule, message in RULES:
        rules = _at(root, path).setdefault("x-kubernetes-validations", [])
        rules.append({"rule": rule, "message": message})
    for path, list_type in LIST_TYPES.items():
        _at(root, path).update(list_type)
    return root


def structural(model: type[BaseModel]) -> Schema:
    """Return a model's schema in structural form: nothing referred to, nothing nullable."""
    schema = model.model_json_schema(by_alias=True)
    return _inline(schema, schema.get("$defs", {}))


def to_yaml(definition: Schema) -> str:
    """Return the definition as YAML with its keys in the order given."""
    text: str = yaml.dump(
        definition, Dumper=_PlainDumper, sort_keys=False, width=100, allow_unicode=True
    )
    return text


class _PlainDumper(yaml.SafeDumper):
    """Writes what occurs twice twice, instead of once with an anchor."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def _inline(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return one schema node with references, null alternatives and titles resolved away."""
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _inline({**target, **{k: v for k, v in node.items() if k != "$ref"}}, definitions)
    if "anyOf" in node:
        (value,) = (one for one in node["anyOf"] if one.get("type") != "null")
        beside = {k: v for k, v in node.items() if k != "anyOf"}
        return _inline({**value, **beside}, definitions)
    plain = {k: node[k] for k in sorted(node, key=_reading_order) if k not in {"title", "$defs"}}
    if plain.get("default", ...) is None:
        del plain["default"]
    for key in ("items", "additionalProperties"):
        if isinstance(plain.get(key), dict):
            plain[key] = _inline(plain[key], definitions)
    if "properties" in plain:
        plain["properties"] = {
            name: _inline(one, definitions) for name, one in plain["properties"].items()
        }
    if plain.get("type") == "integer" and "enum" not in plain:
        plain["format"] = "int32" if plain.get("maximum", 2**63) < 2**31 else "int64"
    return plain


def _reading_order(key: str) -> int:
    """Return where a key stands in a node: what it is, what it means, then the rest."""
    return {"type": 0, "description": 1, "properties": 3}.get(key, 2)


def _without_defaults(node: Schema) -> Schema:
    """Return the schema with no defaults: the status holds only what the operator wrote."""
    plain = {k: v for k, v in node.items() if k != "default"}
    for key in ("items", "additionalProperties"):
        if isinstance(plain.get(key), dict):
            plain[key] = _without_defaults(plain[key])
    if "properties" in plain:
        plain["properties"] = {k: _without_defaults(v) for k, v in plain["properties"].items()}
    return plain


def _at(root: Schema, path: str) -> Schema:
    """Return the node at a dotted path of property names.

    Raises:
        KeyError: the models have no such property.
    """
    node = root
    for step in path.split(".") if path else []:
        node = node["additionalProperties"] if step == "*" else node["properties"][step]
    return node


def _column(column: Column) -> Schema:
    """Return a column as the CustomResourceDefinition holds it.

    The API server drops a priority of 0: written, it would look changed to whoever compares.
    """
    found: Schema = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return {**found, "priority": column.priority} if column.priority else found


if __name__ == "__main__":
    sys.stdout.write(to_yaml(custom_resource_definition()))
