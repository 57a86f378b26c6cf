//! A form from a handler's schema. What is typed stays in signals of its own, so that nothing that is drawn anew takes
//! the focus away; the rest of the page sees it as JSON text.

use leptos::prelude::*;

use super::{
    facts::prose,
    icon::{Glyph, Icon},
};
use crate::{
    format::visible,
    json::tokens,
    order::sorted,
    schema::{Fault, Field, Filled, Shape, fill, write},
};

/// What stands in a field, as signals.
#[derive(Clone)]
enum Node {
    Typed(RwSignal<String>),
    Switch(RwSignal<bool>),
    Choice(RwSignal<usize>),
    Object(Vec<Part>),
    List(RwSignal<Vec<(u64, Node)>>),
    OneOf(RwSignal<(usize, Box<Node>)>),
}

/// A field of an object: whether it is there, and what stands in it.
#[derive(Clone)]
struct Part {
    is_there: RwSignal<bool>,
    node: Node,
}

/// A form and what stands in it.
#[derive(Clone, Copy)]
pub(in crate::ui) struct FormState {
    field: StoredValue<Field>,
    root: RwSignal<Node>,
}

impl FormState {
    /// A form of this field, filled from JSON text where that is there and fits.
    pub(in crate::ui) fn new(field: Field, json: Option<&str>) -> Self {
        let node = node(&field, &fill(&field, json));
        Self { field: StoredValue::new(field), root: RwSignal::new(node) }
    }

    /// Fills it anew. Nothing happens where the text does not fit.
    pub(in crate::ui) fn refill(self, json: &str) -> bool {
        let filled = self.field.with_value(|field| {
            let filled = fill(field, Some(json));
            // What is read must be what is written, or else the form would show something other than the text.
            let again = write(field, &filled).ok()?;
            same(&again, json).then_some(filled)
        });
        match filled {
            Some(filled) => {
                self.root.set(self.field.with_value(|field| node(field, &filled)));
                true
            }
            None => false,
        }
    }

    /// The JSON text of what stands in it; read reactively.
    pub(in crate::ui) fn json(self) -> Result<String, Vec<Fault>> {
        self.field.with_value(|field| write(field, &self.root.with(filled)))
    }

    /// Whether this text says the same as what stands in the form, be it in another order.
    pub(in crate::ui) fn stands_for(self, text: &str) -> bool {
        untrack(|| self.json()).is_ok_and(|json| same(&json, text))
    }

    /// Whether it is more than one field of raw JSON.
    pub(in crate::ui) fn is_of_use(self) -> bool {
        self.field.with_value(|field| field.shape != Shape::Raw)
    }
}

/// Keys may stand in another order: the words are compared as a heap.
fn same(one: &str, other: &str) -> bool {
    let heap = |text: &str| {
        let words = tokens(text).iter().map(|token| text[token.start..token.end].to_owned()).collect();
        sorted(words, String::cmp)
    };
    heap(one) == heap(other)
}

fn node(field: &Field, filled: &Filled) -> Node {
    match (&field.shape, filled) {
        (Shape::Object(fields), Filled::Object(parts)) => {
            let part = |(field, filled): (&Field, &Filled)| {
                let is_there = *filled != Filled::Absent;
                let required = Field { required: true, ..field.clone() };
                let filled = if is_there { filled.clone() } else { fill(&required, None) };
                Part { is_there: RwSignal::new(is_there), node: node(&required, &filled) }
            };
            Node::Object(fields.iter().zip(parts).map(part).collect())
        }
        (Shape::List(item), Filled::List(items)) => {
            Node::List(RwSignal::new((0..).zip(items.iter().map(|filled| node(item, filled))).collect()))
        }
        (Shape::OneOf(variants), Filled::OneOf(at, filled)) => {
            let inner = variants.get(*at).map_or_else(nothing, |variant| node(&variant.field, filled));
            Node::OneOf(RwSignal::new((*at, Box::new(inner))))
        }
        (_, Filled::Switch(on)) => Node::Switch(RwSignal::new(*on)),
        (_, Filled::Choice(at)) => Node::Choice(RwSignal::new(*at)),
        (_, Filled::Typed(typed)) => Node::Typed(RwSignal::new(typed.clone())),
        _ => nothing(),
    }
}

fn nothing() -> Node {
    Node::Typed(RwSignal::new("null".to_owned()))
}

fn filled(node: &Node) -> Filled {
    match node {
        Node::Typed(typed) => Filled::Typed(typed.get()),
        Node::Switch(on) => Filled::Switch(on.get()),
        Node::Choice(at) => Filled::Choice(at.get()),
        Node::Object(parts) => Filled::Object(
            parts.iter().map(|part| if part.is_there.get() { filled(&part.node) } else { Filled::Absent }).collect(),
        ),
        Node::List(items) => Filled::List(items.with(|items| items.iter().map(|(_, node)| filled(node)).collect())),
        Node::OneOf(chosen) => chosen.with(|(at, node)| Filled::OneOf(*at, Box::new(filled(node)))),
    }
}

/// The form.
#[component]
pub(in crate::ui) fn Form(state: FormState) -> impl IntoView {
    let faults = Memo::new(move |_| state.json().err().unwrap_or_default());
    move || {
        let node = state.root.get();
        state.field.with_value(|field| input(field, &node, String::new(), faults))
    }
}

/// What a field is filled in with. The label is the caller's.
fn input(field: &Field, node: &Node, pointer: String, faults: Memo<Vec<Fault>>) -> AnyView {
    let id = format!("field{}", pointer.replace('/', "-"));
    let hint = format!("{id}-hint");
    let fault = {
        let pointer = pointer.clone();
        move || {
            faults
                .with(|faults| faults.iter().find(|fault| fault.pointer == pointer).map(|fault| fault.message.clone()))
        }
    };
    let is_wrong = {
        let fault = fault.clone();
        move || fault().map(|_| "true")
    };
    let told = {
        let hint = hint.clone();
        move || fault().map(|message| view! { <p class="fault" id=hint.clone()>{message}</p> })
    };
    match (&field.shape, node) {
        (Shape::Text { format, .. }, Node::Typed(typed)) => {
            let typed = *typed;
            let placeholder = format.clone().unwrap_or_default();
            view! {
                <textarea class="text-field" id=id rows="1" placeholder=placeholder spellcheck="false" dir="auto" aria-invalid=is_wrong aria-describedby=hint bind:value=typed></textarea>
                {told}
            }.into_any()
        }
        (Shape::Number { integer, minimum, maximum }, Node::Typed(typed)) => {
            let typed = *typed;
            let bounds = match (minimum, maximum) {
                (Some(least), Some(most)) => format!("{least} to {most}"),
                (Some(least), None) => format!("{least} or more"),
                (None, Some(most)) => format!("{most} or less"),
                (None, None) => String::new(),
            };
            let keyboard = if *integer { "numeric" } else { "decimal" };
            // No number field: it would round what is beyond 53 bits.
            view! {
                <input type="text" id=id inputmode=keyboard placeholder=bounds autocomplete="off" aria-invalid=is_wrong aria-describedby=hint bind:value=typed />
                {move || (!typed.with(String::is_empty)).then(&told)}
            }.into_any()
        }
        (Shape::Raw, Node::Typed(typed)) => {
            let typed = *typed;
            view! {
                <textarea class="text-field mono" id=id rows="3" spellcheck="false" aria-invalid=is_wrong aria-describedby=hint bind:value=typed></textarea>
                {told}
            }.into_any()
        }
        (Shape::Switch, Node::Switch(on)) => {
            let on = *on;
            view! { <input type="checkbox" class="switch" id=id role="switch" bind:checked=on /> }.into_any()
        }
        (Shape::Choice(values), Node::Choice(at)) => choice(values, *at, id),
        (Shape::Object(fields), Node::Object(parts)) => {
            let parts = fields.iter().zip(parts).map(|(field, part)| labelled(field, part, &pointer, faults));
            view! { <div class="fields">{parts.collect_view()}</div> }.into_any()
        }
        (Shape::List(item), Node::List(items)) => list(item, *items, id, &pointer, faults),
        (Shape::OneOf(variants), Node::OneOf(chosen)) => {
            let (chosen, variants) = (*chosen, StoredValue::new(variants.clone()));
            let at = Memo::new(move |_| chosen.with(|(at, _)| *at));
            let choose = move |event| {
                let at = event_target_value(&event).parse::<usize>().unwrap_or_default();
                let fresh = variants
                    .with_value(|variants| variants.get(at).map_or_else(nothing, |variant| node_of(&variant.field)));
                chosen.set((at, Box::new(fresh)));
            };
            let options = variants.with_value(|variants| variants.iter().enumerate().map(|(place, variant)| {
                view! { <option value=place.to_string() selected=move || at.get() == place>{variant.label.clone()}</option> }
            }).collect_view());
            let inner = move || {
                let at = at.get();
                let node = chosen.with_untracked(|(_, node)| (**node).clone());
                let pointer = pointer.clone();
                variants.with_value(|variants| {
                    variants.get(at).map(|variant| input(&variant.field, &node, pointer, faults))
                })
            };
            let is_single = variants.with_value(Vec::len) < 2;
            view! {
                <div class="one-of">
                    {(!is_single).then(|| view! { <select id=id on:change=choose>{options}</select> })}
                    {inner}
                </div>
            }
            .into_any()
        }
        _ => ().into_any(),
    }
}

fn node_of(field: &Field) -> Node {
    node(field, &fill(&Field { required: true, ..field.clone() }, None))
}

/// A list offers what the schema names; a single value has nothing to be chosen.
fn choice(values: &[String], at: RwSignal<usize>, id: String) -> AnyView {
    let shown = |value: &String| serde_json::from_str::<String>(value).unwrap_or_else(|_| value.clone());
    if let [only] = values {
        // That there is none is said already where it was chosen.
        if only == "null" {
            return ().into_any();
        }
        return view! { <output id=id class="mono">{visible(&shown(only))}</output> }.into_any();
    }
    let options = values.iter().enumerate().map(|(place, value)| {
        view! { <option value=place.to_string() selected=move || at.get() == place>{visible(&shown(value))}</option> }
    });
    let choose = move |event| at.set(event_target_value(&event).parse().unwrap_or_default());
    view! { <select id=id on:change=choose>{options.collect_view()}</select> }.into_any()
}

fn labelled(field: &Field, part: &Part, pointer: &str, faults: Memo<Vec<Fault>>) -> AnyView {
    let pointer = format!("{pointer}/{}", field.name.replace('~', "~0").replace('/', "~1"));
    let id = format!("field{}", pointer.replace('/', "-"));
    let name = visible(field.title.as_deref().unwrap_or(&field.name));
    let is_there = part.is_there;
    let optional = (!field.required).then(|| {
        let label = format!("Include {name}");
        view! { <input type="checkbox" class="include" title="Include this field" aria-label=label bind:checked=is_there /> }
    });
    let (stored, node) = (StoredValue::new(field.clone()), part.node.clone());
    let inner = move || is_there.get().then(|| stored.with_value(|field| input(field, &node, pointer.clone(), faults)));
    view! {
        <div class="field" class:absent=move || !is_there.get()>
            <div class="field-head">
                {optional}
                <label for=id>{name}</label>
                {field.required.then(|| view! { <span class="required">"required"</span> })}
            </div>
            {field.help.clone().map(|help| view! { <p class="help">{prose(&help)}</p> })}
            {inner}
        </div>
    }
    .into_any()
}

fn list(
    item: &Field,
    items: RwSignal<Vec<(u64, Node)>>,
    id: String,
    pointer: &str,
    faults: Memo<Vec<Fault>>,
) -> AnyView {
    let (item, pointer) = (StoredValue::new(item.clone()), StoredValue::new(pointer.to_owned()));
    let add = move |_| {
        let fresh = item.with_value(node_of);
        items.update(|items| items.push((items.iter().map(|(key, _)| key + 1).max().unwrap_or_default(), fresh)));
    };
    let row = move |(key, node): (u64, Node)| {
        let place = items.with_untracked(|items| items.iter().position(|(other, _)| *other == key)).unwrap_or_default();
        let inner = item.with_value(|item| input(item, &node, format!("{}/{place}", pointer.get_value()), faults));
        let remove = move |_| items.update(|items| items.retain(|(other, _)| *other != key));
        view! {
            <li>
                <div class="item">{inner}</div>
                <button type="button" class="button quiet small icon-only" aria-label=format!("Remove item {}", place + 1) on:click=remove>
                    <Icon glyph=Glyph::Close />
                </button>
            </li>
        }
    };
    view! {
        <div class="list">
            <ol><For each=move || items.get() key=|(key, _)| *key children=row /></ol>
            <button type="button" class="button small" id=id on:click=add>"Add item"</button>
        </div>
    }
    .into_any()
}
