//! How much a schema comes to when each of its references is replaced by what it refers to: a text of a few lines can
//! stand for millions of checks.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The most nodes that a schema may have, with what it refers to counted each time it does.
const MAX_NODES: usize = 10_000;

/// The most places that a schema may refer to.
const MAX_TARGETS: usize = 1_000;

/// What checking against a schema takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expansion {
    /// How many nodes it has, where one that refers to itself is counted once.
    pub(super) nodes: usize,
    /// Whether it refers to itself, so that it depends on the payload how often it is checked.
    pub(super) recursive: bool,
}

/// Measures a schema.
///
/// # Errors
/// Where it is too large, or refers to what it does not hold itself.
pub(super) fn measure(schema: &Value) -> Result<Expansion, String> {
    let mut found = Found::of(schema);
    // More come to the end while the first ones are looked through.
    let mut scanned = 0;
    let mut at = 0;
    while at < found.targets.len() {
        let mut target = Target::default();
        found.scan(found.targets[at], &mut target)?;
        scanned += target.nodes;
        // Targets within targets are looked through once for each, which is bounded too.
        if target.nodes > MAX_NODES || scanned > 10 * MAX_NODES || found.targets.len() > MAX_TARGETS {
            return Err(too_large());
        }
        found.scanned.push(target);
        at += 1;
    }
    let mut groups = Groups::of(&found.scanned);
    groups.visit(0);
    let nodes = groups.group[0].map_or(0, |group| groups.nodes[group]);
    if nodes > MAX_NODES {
        return Err(too_large());
    }
    Ok(Expansion { nodes, recursive: groups.recursive })
}

fn too_large() -> String {
    format!("it is too large: with its references followed it may have at most {MAX_NODES} nodes")
}

/// Something that is referred to: how many nodes it has itself, and what it refers to in turn.
#[derive(Default)]
struct Target {
    nodes: usize,
    refers_to: Vec<usize>,
}

struct Found<'a> {
    root: &'a Value,
    /// The whole schema, and then all that is referred to.
    targets: Vec<&'a Value>,
    /// Their places by the text of a reference.
    known: HashMap<String, Vec<usize>>,
    scanned: Vec<Target>,
}

impl<'a> Found<'a> {
    fn of(root: &'a Value) -> Self {
        Self { root, targets: vec![root], known: HashMap::new(), scanned: Vec::new() }
    }

    /// Looks through a schema, or a list of some.
    fn scan(&mut self, schema: &'a Value, target: &mut Target) -> Result<(), String> {
        target.nodes += 1;
        if target.nodes > MAX_NODES {
            return Err(too_large());
        }
        match schema {
            Value::Array(schemas) => schemas.iter().try_for_each(|schema| self.scan(schema, target)),
            Value::Object(keywords) => self.scan_keywords(schema, keywords, target),
            _ => Ok(()),
        }
    }

    fn scan_keywords(
        &mut self,
        schema: &'a Value,
        keywords: &'a Map<String, Value>,
        target: &mut Target,
    ) -> Result<(), String> {
        for (keyword, value) in keywords {
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference)) => {
                    target.nodes += 1;
                    target.refers_to.extend(self.resolve(reference)?);
                }
                ("$id", Value::String(id)) if !std::ptr::eq(schema, self.root) => {
                    return Err(format!("the `$id` `{}` stands inside of it: only the whole may have one", short(id)));
                }
                // What is defined counts where it is referred to.
                ("$defs" | "definitions", Value::Object(_)) => {}
                // Values, not schemas.
                ("const" | "enum" | "default" | "examples", _) => target.nodes += 1,
                // The keys are names, and not keywords.
                ("properties" | "patternProperties" | "dependentSchemas" | "dependencies", Value::Object(named)) => {
                    named.values().try_for_each(|schema| self.scan(schema, target))?;
                }
                _ => self.scan(value, target)?,
            }
        }
        Ok(())
    }

    /// The places that a reference may mean.
    fn resolve(&mut self, reference: &str) -> Result<Vec<usize>, String> {
        if let Some(known) = self.known.get(reference) {
            return Ok(known.clone());
        }
        let own_id = self.root.get("$id").and_then(Value::as_str).unwrap_or_default();
        let inside = reference.strip_prefix(own_id).unwrap_or(reference);
        let values = match inside.strip_prefix('#') {
            Some("") => vec![self.root],
            Some(pointer) if pointer.starts_with('/') => {
                self.root.pointer(&percent_decoded(pointer)).into_iter().collect()
            }
            Some(anchor) => {
                let mut anchored = Vec::new();
                find_anchored(self.root, anchor, &mut anchored);
                anchored
            }
            None if inside.is_empty() => vec![self.root],
            None => Vec::new(),
        };
        if values.is_empty() {
            return Err(format!("it refers to `{}`, which it does not hold", short(reference)));
        }
        let places = values.into_iter().map(|value| self.place(value)).collect::<Vec<_>>();
        self.known.insert(reference.to_owned(), places.clone());
        Ok(places)
    }

    fn place(&mut self, value: &'a Value) -> usize {
        self.targets.iter().position(|target| std::ptr::eq(*target, value)).unwrap_or_else(|| {
            self.targets.push(value);
            self.targets.len() - 1
        })
    }
}

fn find_anchored<'a>(value: &'a Value, anchor: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            let named = |keyword| members.get(keyword).and_then(Value::as_str) == Some(anchor);
            if named("$anchor") || named("$dynamicAnchor") {
                found.push(value);
            }
            members.values().for_each(|value| find_anchored(value, anchor, found));
        }
        Value::Array(items) => items.iter().for_each(|value| find_anchored(value, anchor, found)),
        _ => {}
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let code = others.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Targets that refer to each other in a circle form a group, which is counted once. Found as Tarjan does: a group is
/// complete only after all groups that it refers to.
struct Groups<'a> {
    targets: &'a [Target],
    order: Vec<Option<usize>>,
    lowest: Vec<usize>,
    open: Vec<usize>,
    visited: usize,
    group: Vec<Option<usize>>,
    /// Each group's nodes, with what it refers to.
    nodes: Vec<usize>,
    recursive: bool,
}

impl<'a> Groups<'a> {
    fn of(targets: &'a [Target]) -> Self {
        Self {
            targets,
            order: vec![None; targets.len()],
            lowest: vec![0; targets.len()],
            open: Vec::new(),
            visited: 0,
            group: vec![None; targets.len()],
            nodes: Vec::new(),
            recursive: false,
        }
    }

    /// As deep as there are targets at most, whose number is bounded.
    fn visit(&mut self, at: usize) {
        let order = self.visited;
        (self.order[at], self.lowest[at]) = (Some(order), order);
        self.visited += 1;
        self.open.push(at);
        let targets = self.targets;
        for &next in &targets[at].refers_to {
            match self.order[next] {
                None => {
                    self.visit(next);
                    self.lowest[at] = self.lowest[at].min(self.lowest[next]);
                }
                Some(order) if self.group[next].is_none() => self.lowest[at] = self.lowest[at].min(order),
                Some(_) => {}
            }
        }
        if self.lowest[at] == order {
            self.close(at);
        }
    }

    fn close(&mut self, first: usize) {
        let from = self.open.iter().rposition(|open| *open == first).unwrap_or_default();
        let members = self.open.split_off(from);
        let group = self.nodes.len();
        for member in &members {
            self.group[*member] = Some(group);
        }
        let mut nodes = 0_usize;
        for member in members {
            nodes = nodes.saturating_add(self.targets[member].nodes);
            for next in &self.targets[member].refers_to {
                match self.group[*next] {
                    Some(other) if other != group => nodes = nodes.saturating_add(self.nodes[other]),
                    _ => self.recursive = true,
                }
            }
        }
        self.nodes.push(nodes);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_whose_references_double_at_each_step_is_refused() {
        let double = |step: usize| {
            let next = format!("#/$defs/{}", step + 1);
            json!({ "allOf": [{ "$ref": next }, { "$ref": next }] })
        };
        let mut defs = (0..30).map(|step| (step.to_string(), double(step))).collect::<Map<_, _>>();
        defs.insert("30".to_owned(), json!({ "type": "string" }));
        let bomb = json!({ "$defs": defs, "$ref": "#/$defs/0" });
        assert!(measure(&bomb).unwrap_err().contains("too large"));
        let tail = json!({ "$defs": bomb["$defs"], "$ref": "#/$defs/28" });
        assert!(measure(&tail).unwrap().nodes < 100);
    }

    #[test]
    fn types_that_refer_to_each_other_are_counted_once_each() {
        let all = (0..40).map(|at| json!({ "$ref": format!("#/$defs/{at}") })).collect::<Vec<_>>();
        let defs = (0..40).map(|at| (at.to_string(), json!({ "anyOf": all }))).collect::<Map<_, _>>();
        let measured = measure(&json!({ "$defs": defs, "$ref": "#/$defs/0" })).unwrap();
        assert!(measured.recursive && measured.nodes <= MAX_NODES, "{measured:?}");
    }

    #[test]
    fn a_plain_schema_is_measured_and_is_not_recursive() {
        let schema = json!({ "type": "object", "properties": { "$ref": { "type": "string" }, "a": true } });
        assert_eq!(measure(&schema), Ok(Expansion { nodes: 5, recursive: false }));
    }

    #[test]
    fn a_reference_is_found_by_pointer_anchor_and_own_id() {
        let schema = |reference: &str| json!({ "$id": "https://a/b", "$ref": reference, "$defs": { "x y": { "$anchor": "here" } } });
        for reference in ["#/$defs/x%20y", "#here", "https://a/b#here"] {
            assert_eq!(measure(&schema(reference)).map(|it| it.recursive), Ok(false), "{reference}");
        }
        for reference in ["#", "https://a/b", ""] {
            assert_eq!(measure(&schema(reference)).map(|it| it.recursive), Ok(true), "{reference}");
        }
        for reference in ["#/$defs/z", "#there", "https://json-schema.org/draft/2020-12/schema"] {
            assert!(measure(&schema(reference)).unwrap_err().contains("does not hold"), "{reference}");
        }
    }
}
