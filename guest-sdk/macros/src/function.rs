//! The function under `#[handler]`: which of the shapes that a handler may have it is.

use syn::{Attribute, Error, Expr, ExprLit, FnArg, ItemFn, Lit, Meta, Result, ReturnType, Type};

/// What the shape of a function says about its handler.
pub(crate) struct Shape<'a> {
    pub(crate) is_async: bool,
    pub(crate) takes_context: bool,
    pub(crate) payload: Option<&'a Type>,
    pub(crate) returned: &'a Type,
}

const EXPECTED: &str =
    "expected `fn name(ctx: &Context, args: T) -> Result<R, JobError>`, where each of the two may be left out";

/// Tells the shape, or where it is none.
pub(crate) fn shape(function: &ItemFn) -> Result<Shape<'_>> {
    let signature = &function.sig;
    if let Some(parameter) = signature.generics.params.first() {
        return Err(Error::new_spanned(
            parameter,
            "a handler cannot be generic: its payload must be one type, known when it is compiled",
        ));
    }
    if let Some(unsafety) = signature.unsafety {
        return Err(Error::new_spanned(unsafety, "a handler cannot be unsafe: the host calls it with any payload"));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new_spanned(abi, format!("a handler is a plain Rust function: {EXPECTED}")));
    }
    let mut types = Vec::new();
    for input in &signature.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                return Err(Error::new_spanned(receiver, format!("a handler is no method: {EXPECTED}")));
            }
            FnArg::Typed(parameter) => types.push(&*parameter.ty),
        }
    }
    let (takes_context, payload) = match types[..] {
        [] => (false, None),
        [only] if is_reference(only)? => (true, None),
        [only] => (false, Some(only)),
        [first, second] if is_reference(first)? => (true, Some(owned(second)?)),
        [first, second] if is_reference(second)? => {
            return Err(Error::new_spanned(first, format!("the context comes first: {EXPECTED}")));
        }
        [first, _] => return Err(Error::new_spanned(first, format!("the context is borrowed: {EXPECTED}"))),
        [_, _, third, ..] => {
            return Err(Error::new_spanned(
                third,
                format!("a handler takes one value as its payload, with named fields: {EXPECTED}"),
            ));
        }
    };
    let ReturnType::Type(_, returned) = &signature.output else {
        return Err(Error::new_spanned(
            &signature.ident,
            format!("a handler returns a result, `Result<(), JobError>` at least: {EXPECTED}"),
        ));
    };
    Ok(Shape { is_async: signature.asyncness.is_some(), takes_context, payload, returned })
}

fn is_reference(ty: &Type) -> Result<bool> {
    match ty {
        Type::Reference(reference) if reference.mutability.is_some() => {
            Err(Error::new_spanned(reference, format!("the context is borrowed without `mut`: {EXPECTED}")))
        }
        Type::Reference(_) => Ok(true),
        _ => Ok(false),
    }
}

fn owned(ty: &Type) -> Result<&Type> {
    match ty {
        Type::Reference(_) => Err(Error::new_spanned(ty, format!("the payload is owned: {EXPECTED}"))),
        _ => Ok(ty),
    }
}

/// The first paragraph and all the others of a doc comment, as one text.
pub(crate) fn summary(attributes: &[Attribute]) -> Option<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let text = lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect::<Vec<_>>();
    let text = text.join("\n").trim().to_owned();
    (!text.is_empty()).then_some(text)
}
