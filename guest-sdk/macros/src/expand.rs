//! What `#[handler]` leaves beside the function, which stays as it is.
//!
//! Two things share the function's name, in namespaces that a function does not use: a braced struct (types), which
//! implements the traits by which a component runs the handler, and a macro, which tells `export!` the handler's mode.
//! So `use crate::links::check;` brings along all three.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, ItemFn, LitStr, ext::IdentExt, spanned::Spanned};

use crate::{
    attributes::{Attributes, checked_name, option},
    function::{self, Shape},
    schedule::Schedule,
};

/// Expands `#[handler(…)]`. What is wrong is said beside the function as it was written, so that nothing else in its
/// file seems wrong too.
pub(crate) fn handler(attributes: TokenStream, item: &TokenStream) -> TokenStream {
    let function = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            let error = syn::Error::new_spanned(item, "`#[handler]` stands above a function").into_compile_error();
            return quote!(#error #item);
        }
    };
    let extra = Attributes::parse(attributes)
        .and_then(|attributes| companions(&function, &attributes, &function::shape(&function)?))
        .unwrap_or_else(syn::Error::into_compile_error);
    quote! {
        #[allow(clippy::needless_pass_by_value, clippy::unused_async, reason = "a handler's shape is given")]
        #function
        #extra
    }
}

fn companions(function: &ItemFn, attributes: &Attributes, shape: &Shape<'_>) -> syn::Result<TokenStream> {
    let ident = &function.sig.ident;
    let visibility = &function.vis;
    let private = quote!(::windlass_guest::__private);
    let name = match &attributes.name {
        Some(name) => name.clone(),
        None => checked_name(&LitStr::new(&ident.unraw().to_string(), ident.span()))?,
    };
    let describe = describe(function, attributes, shape);
    let run = run(ident, shape);
    let mode = if shape.is_async { quote!(async) } else { quote!(sync) };
    let teller = format_ident!("__windlass_handler_{}", ident.unraw());
    Ok(quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types, missing_debug_implementations, reason = "it only shares the handler's name")]
        #visibility struct #ident {}

        impl #private::Handler for #ident {
            const NAME: &'static str = #name;

            fn describe() -> #private::wit::Handler {
                #describe
            }
        }

        #run

        #[doc(hidden)]
        #[allow(unused_macros, reason = "a handler need not be exported")]
        macro_rules! #teller {
            ({$($asked:tt)*} $state:tt) => { ::windlass_guest::__collect! { #mode {$($asked)*} $state } };
        }

        #[doc(hidden)]
        #[allow(unused_imports, reason = "a handler need not be exported")]
        pub(crate) use #teller as #ident;
    })
}

/// The body of `describe`.
fn describe(function: &ItemFn, attributes: &Attributes, shape: &Shape<'_>) -> TokenStream {
    let private = quote!(::windlass_guest::__private);
    let text = |text: Option<&str>| option(text.map(|text| quote!(::std::string::String::from(#text))));
    let number = |number: Option<u64>| option(number.map(|number| quote!(#number)));
    let summary = text(function::summary(&function.attrs).as_deref());
    let queue = text(attributes.queue.as_deref());
    let priority = option(attributes.priority.map(|priority| quote!(#priority)));
    let max_attempts = option(attributes.max_attempts.map(|attempts| quote!(#attempts)));
    let retry = option(attributes.retry.as_ref().map(|policy| quote!(#private::wit::#policy)));
    let timeout = number(attributes.timeout);
    let cancel_grace = number(attributes.cancel_grace);
    let fuel = number(attributes.fuel);
    let memory = number(attributes.memory);
    let payload_schema = shape.payload.map_or_else(
        || quote!(::std::option::Option::None),
        |ty| quote_spanned!(ty.span()=> #private::payload_schema::<#ty>()),
    );
    let result_schema = {
        // Everything bears the place of the type, so that a type that will not do is reported there, and once.
        let returned = shape.returned;
        let private = quote_spanned!(returned.span()=> ::windlass_guest::__private);
        quote_spanned! {returned.span()=>
            (&#private::ResultSchema::<<#returned as #private::Returned>::Value>::of()).schema()
        }
    };
    let redact = &attributes.redact;
    let schedules = attributes.schedules.iter().map(Schedule::to_tokens);
    quote! {
        #[allow(unused_imports, reason = "which of the two is used depends on the result's type")]
        use #private::{Described as _, Undescribed as _};

        #private::wit::Handler {
            name: ::std::string::String::from(<Self as #private::Handler>::NAME),
            summary: #summary,
            queue: #queue,
            priority: #priority,
            max_attempts: #max_attempts,
            retry: #retry,
            timeout: #timeout,
            cancel_grace: #cancel_grace,
            fuel: #fuel,
            memory: #memory,
            payload_schema: #payload_schema,
            result_schema: #result_schema,
            redact: ::std::vec![#(::std::string::String::from(#redact)),*],
            schedules: ::std::vec![#(#schedules),*],
            extensions: ::std::vec![],
        }
    }
}

/// The implementation of `SyncHandler` or `AsyncHandler`.
fn run(ident: &Ident, shape: &Shape<'_>) -> TokenStream {
    let private = quote!(::windlass_guest::__private);
    let context = shape.takes_context.then(|| quote!(context,));
    let payload = shape.payload.map(|ty| quote_spanned!(ty.span()=> #private::arguments::<#ty>(context)?));
    let (handler, asyncness, dot_await) = if shape.is_async {
        (quote!(AsyncHandler), Some(quote!(async)), Some(quote!(.await)))
    } else {
        (quote!(SyncHandler), None, None)
    };
    let returned = quote_spanned!(shape.returned.span()=> #private::Returned::into_outcome(returned));
    quote! {
        impl #private::#handler for #ident {
            #[allow(unused_variables, reason = "a handler need not take the context")]
            #asyncness fn run(context: &::windlass_guest::Context) -> #private::Outcome {
                let returned = #ident(#context #payload)#dot_await;
                #returned
            }
        }
    }
}
