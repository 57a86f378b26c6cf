//! Recurring jobs that come with a handler: `schedule = "@daily"` or `schedule("0 3 * * *", time_zone = "…", …)`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Ident, LitStr, Result, Token, ext::IdentExt, meta::ParseNestedMeta, parenthesized};

use crate::attributes::{checked_name, option, text};

/// One recurring job.
pub(crate) struct Schedule {
    expression: String,
    name: Option<String>,
    time_zone: Option<String>,
    payload: Option<String>,
    misfire: Option<TokenStream>,
}

/// Reads one `schedule`.
pub(crate) fn parse(meta: &ParseNestedMeta<'_>) -> Result<Schedule> {
    if !meta.input.peek(syn::token::Paren) {
        return Ok(Schedule::at(text(meta)?.value()));
    }
    let content;
    parenthesized!(content in meta.input);
    let mut schedule = Schedule::at(content.parse::<LitStr>()?.value());
    while !content.is_empty() {
        content.parse::<Token![,]>()?;
        if content.is_empty() {
            break;
        }
        let key = content.call(Ident::parse_any)?;
        content.parse::<Token![=]>()?;
        schedule.set(&key, &content.parse::<LitStr>()?)?;
    }
    Ok(schedule)
}

impl Schedule {
    fn at(expression: String) -> Self {
        Self { expression, name: None, time_zone: None, payload: None, misfire: None }
    }

    fn set(&mut self, key: &Ident, value: &LitStr) -> Result<()> {
        match key.to_string().as_str() {
            "name" => self.name = Some(checked_name(value)?),
            "time_zone" => self.time_zone = Some(value.value()),
            "payload" => self.payload = Some(value.value()),
            "misfire" => {
                self.misfire = Some(match value.value().as_str() {
                    "skip" => quote!(Skip),
                    "run-once" => quote!(RunOnce),
                    "catch-up" => quote!(CatchUp),
                    _ => return Err(Error::new(value.span(), "expected \"skip\", \"run-once\" or \"catch-up\"")),
                });
            }
            other => {
                let message =
                    format!("unknown setting `{other}`: expected one of name, time_zone, payload and misfire");
                return Err(Error::new(key.span(), message));
            }
        }
        Ok(())
    }

    /// As an expression of the contract's type.
    pub(crate) fn to_tokens(&self) -> TokenStream {
        let wit = quote!(::windlass_guest::__private::wit);
        let string =
            |text: &Option<String>| option(text.as_ref().map(|text| quote!(::std::string::String::from(#text))));
        let expression = &self.expression;
        let name = string(&self.name);
        let time_zone = string(&self.time_zone);
        let payload = string(&self.payload);
        let misfire = option(self.misfire.as_ref().map(|misfire| quote!(#wit::Misfire::#misfire)));
        quote! {
            #wit::Schedule {
                name: #name,
                expression: ::std::string::String::from(#expression),
                time_zone: #time_zone,
                payload: #payload,
                misfire: #misfire,
            }
        }
    }
}
