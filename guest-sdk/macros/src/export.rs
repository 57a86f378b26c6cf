//! `export!`: reads the list of handlers and sets the round of questions going that ends in the component's exports.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, Ident, LitStr, Path, Result, Token,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

use crate::attributes::checked_name;

struct Export {
    module: Option<LitStr>,
    handlers: Punctuated<Path, Token![,]>,
}

impl Parse for Export {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut module = None;
        if input.peek(Ident) && input.peek2(Token![=]) {
            let key = input.parse::<Ident>()?;
            if key != "module" {
                return Err(Error::new(key.span(), format!("unknown setting `{key}`: expected `module = \"…\";`")));
            }
            input.parse::<Token![=]>()?;
            let name = input.parse::<LitStr>()?;
            checked_name(&name)?;
            module = Some(name);
            input.parse::<Token![;]>()?;
        }
        Ok(Self { module, handlers: Punctuated::parse_terminated_with(input, Path::parse_mod_style)? })
    }
}

pub(crate) fn export(list: TokenStream) -> Result<TokenStream> {
    let Export { module, handlers } = Export::parse.parse2(list)?;
    let mut handlers = handlers.into_iter();
    let Some(first) = handlers.next() else {
        return Err(Error::new(
            proc_macro2::Span::call_site(),
            "a component needs a handler: expected `export!(first, second)` with the names of functions under `#[handler]`",
        ));
    };
    let module = module.map_or_else(|| quote!(::std::env!("CARGO_PKG_NAME")), |name| quote!(#name));
    Ok(quote! {
        #first! { {#first} { {} {} {#({#handlers})*} {#module} {::std::env!("CARGO_PKG_VERSION")} } }
    })
}
