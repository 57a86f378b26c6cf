//! What stands between the parentheses of `#[handler(…)]`.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, Expr, ExprLit, Lit, LitStr, Result, Token, ext::IdentExt, meta::ParseNestedMeta, parenthesized,
    parse::Parser, punctuated::Punctuated,
};

use crate::{
    quantities,
    schedule::{self, Schedule},
};

const KNOWN: &str =
    "name, queue, priority, max_attempts, retry, timeout, cancel_grace, fuel, memory, redact and schedule";

/// The settings of a handler.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) name: Option<String>,
    pub(crate) queue: Option<String>,
    pub(crate) priority: Option<u8>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) retry: Option<TokenStream>,
    pub(crate) timeout: Option<u64>,
    pub(crate) cancel_grace: Option<u64>,
    pub(crate) fuel: Option<u64>,
    pub(crate) memory: Option<u64>,
    pub(crate) redact: Vec<String>,
    pub(crate) schedules: Vec<Schedule>,
}

impl Attributes {
    /// Reads them all, or says where the first one is wrong.
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut attributes = Self::default();
        let mut seen = Vec::new();
        let parser = syn::meta::parser(|meta| {
            let Some(key) = meta.path.get_ident().map(ToString::to_string) else {
                return Err(meta.error(format!("unknown setting: expected one of {KNOWN}")));
            };
            if key != "schedule" && seen.contains(&key) {
                return Err(meta.error(format!("`{key}` is set twice")));
            }
            attributes.set(&key, &meta)?;
            seen.push(key);
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(attributes)
    }

    fn set(&mut self, key: &str, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match key {
            "name" => self.name = Some(checked_name(&text(meta)?)?),
            "queue" => self.queue = Some(checked_name(&text(meta)?)?),
            "priority" => self.priority = Some(number_in(meta, 0..=9)?),
            "max_attempts" => self.max_attempts = Some(number_in(meta, 1..=1000)?),
            "retry" => self.retry = Some(quantity(meta, quantities::retry_policy)?),
            "timeout" => self.timeout = Some(positive(meta, quantities::milliseconds)?),
            "cancel_grace" => self.cancel_grace = Some(positive(meta, quantities::milliseconds)?),
            "fuel" => self.fuel = Some(number_in(meta, 1..=u64::MAX)?),
            "memory" => self.memory = Some(positive(meta, quantities::bytes)?),
            "redact" => self.redact = pointers(meta)?,
            "schedule" => self.schedules.push(schedule::parse(meta)?),
            _ => return Err(meta.error(format!("unknown setting `{key}`: expected one of {KNOWN}"))),
        }
        Ok(())
    }
}

/// The name of a handler, a module or a queue.
pub(crate) fn checked_name(literal: &LitStr) -> Result<String> {
    let name = literal.value();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if (1..=100).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with(['-', '.']) {
        return Ok(name);
    }
    let message = format!(
        "`{name}` is not a name: expected 1 to 100 of a-z, A-Z, 0-9, `_`, `-` and `.`, not beginning with `-` or `.`"
    );
    Err(Error::new(literal.span(), message))
}

/// `key = "text"`.
pub(crate) fn text(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let key = meta.path.get_ident().map(IdentExt::unraw).map_or_else(String::new, |key| key.to_string());
    if !meta.input.peek(Token![=]) {
        return Err(meta.error(format!("`{key}` needs a value: expected `{key} = \"…\"`")));
    }
    match meta.value()?.parse::<Expr>()? {
        Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => Ok(literal),
        other => Err(Error::new_spanned(other, format!("`{key}` is text: expected `{key} = \"…\"`"))),
    }
}

fn quantity<T>(meta: &ParseNestedMeta<'_>, read: impl Fn(&str) -> std::result::Result<T, String>) -> Result<T> {
    let literal = text(meta)?;
    read(&literal.value()).map_err(|message| Error::new(literal.span(), message))
}

fn positive(meta: &ParseNestedMeta<'_>, read: impl Fn(&str) -> std::result::Result<u64, String>) -> Result<u64> {
    quantity(meta, |text| match read(text)? {
        0 => Err(format!("`{text}` is nothing: expected more than 0")),
        some => Ok(some),
    })
}

fn number_in<N>(meta: &ParseNestedMeta<'_>, range: RangeInclusive<N>) -> Result<N>
where
    N: FromStr<Err: Display> + PartialOrd + Display,
{
    let expected = format!("expected a whole number from {} to {}", range.start(), range.end());
    if !meta.input.peek(Token![=]) {
        return Err(meta.error(expected));
    }
    let value = meta.value()?.parse::<Expr>()?;
    let number = match &value {
        Expr::Lit(ExprLit { lit: Lit::Int(literal), .. }) => literal.base10_parse::<N>().ok(),
        _ => None,
    };
    number.filter(|number| range.contains(number)).ok_or_else(|| Error::new_spanned(&value, expected))
}

/// `redact("/card", "/owner/email")`.
fn pointers(meta: &ParseNestedMeta<'_>) -> Result<Vec<String>> {
    if !meta.input.peek(syn::token::Paren) {
        return Err(meta.error("expected JSON Pointers in parentheses, such as `redact(\"/card\")`"));
    }
    let content;
    parenthesized!(content in meta.input);
    let list = Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?;
    list.iter()
        .map(|pointer| {
            let text = pointer.value();
            let message =
                format!("`{text}` is not a JSON Pointer: expected one that begins with `/`, such as \"/card\"");
            if text.starts_with('/') { Ok(text) } else { Err(Error::new(pointer.span(), message)) }
        })
        .collect()
}

/// `Some(…)` or `None`, in words that need no import.
pub(crate) fn option(value: Option<TokenStream>) -> TokenStream {
    value.map_or_else(|| quote!(::std::option::Option::None), |value| quote!(::std::option::Option::Some(#value)))
}
