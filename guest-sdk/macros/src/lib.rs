//! The macros of `windlass-guest`, which documents and re-exports them: `#[handler]` and `export!`.
//!
//! They read what an author wrote and refuse it, at the place where it is wrong, in words; what a handler does at run
//! time is in `windlass-guest` itself.

mod attributes;
mod expand;
mod export;
mod function;
mod quantities;
mod schedule;

use proc_macro::TokenStream;

/// Makes a job handler of a function; see `windlass_guest::handler`.
#[proc_macro_attribute]
pub fn handler(attributes: TokenStream, item: TokenStream) -> TokenStream {
    expand::handler(attributes.into(), &item.into()).into()
}

/// Makes a component of handlers; see `windlass_guest::export`.
#[proc_macro]
pub fn export(list: TokenStream) -> TokenStream {
    export::export(list.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
