//! `#[fmi::rank]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    AttrStyle, Error, FnArg, Item, ItemFn, Result, ReturnType, Signature, parse::Parser,
    spanned::Spanned,
};

use crate::CratePath;

const USAGE: &str = "#[fmi::rank] goes on `async fn main(ctx: fmi::Context) -> fmi::Result<()>`";
const TOO_MANY: &str = "a rank gets its context, no more";

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    or_mistake(try_expand(args, item.clone()), item)
}

/// The expansion, or the mistake beside what is left of the item without it.
pub(crate) fn or_mistake(expansion: Result<TokenStream>, item: TokenStream) -> TokenStream {
    expansion.unwrap_or_else(|error| {
        let error = error.to_compile_error();
        let rest = without_the_mistake(item);
        quote!(#error #rest)
    })
}

fn try_expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let item = match syn::parse2(item)? {
        Item::Fn(item) => item,
        other => return Err(Error::new_spanned(other, USAGE)),
    };
    let mut krate = CratePath::default();
    let arguments = syn::meta::parser(|meta| krate.parse(&meta)).parse2(args);
    let mistakes = arguments.err().into_iter().chain(misuse(&item.sig));
    if let Some(mistakes) = mistakes.reduce(and) {
        return Err(mistakes);
    }

    let ItemFn { attrs, vis, sig, .. } = &item;
    let CratePath(krate) = krate;
    let name = &sig.ident;
    let (outer, inner): (Vec<_>, Vec<_>) =
        attrs.iter().partition(|attr| matches!(attr.style, AttrStyle::Outer));
    let call = call(&quote!(#krate::run), None, &item);
    Ok(quote! {
        #(#outer)*
        #vis fn #name() -> ::std::process::ExitCode {
            #(#inner)*
            #call
        }
    })
}

/// `run(async |ctx| -> … { … })`, with another argument first if there is one.
pub(crate) fn call(run: &TokenStream, first: Option<&TokenStream>, item: &ItemFn) -> TokenStream {
    let ItemFn { sig, block, .. } = item;
    let parameter = &sig.inputs;
    // A closure without a return type would take it from its body; the function has `()`.
    let (output, declared) = match &sig.output {
        ReturnType::Default => (quote!(-> ()), sig.ident.span()),
        ReturnType::Type(_, declared) => (sig.output.to_token_stream(), declared.span()),
    };
    let closure = &sig.asyncness;
    let parameter = quote_spanned!(sig.inputs.span()=> |#parameter|);
    let first = first.map(|first| quote!(#first,));
    // What `run` asks of its argument it asks of the types that the user declared: point there.
    let run = run.clone().into_iter().map(|mut token| {
        token.set_span(declared);
        token
    });
    quote_spanned!(declared=> #(#run)*(#first #closure #parameter #output #block))
}

/// Everything that is wrong with the signature, each on its token.
pub(crate) fn misuse(sig: &Signature) -> Vec<Error> {
    let mut mistakes = Vec::new();
    let mut refuse = |found: Option<&dyn ToTokens>, why: &str| {
        mistakes.extend(found.map(|tokens| Error::new_spanned(tokens, why)));
    };
    let sync = sig.asyncness.is_none().then_some(&sig.fn_token as _);
    refuse(sync, "a rank's program is async: write `async fn`");
    refuse(sig.constness.as_ref().map(|t| t as _), "a rank's program cannot be const");
    refuse(sig.unsafety.as_ref().map(|t| t as _), "a rank's program cannot be unsafe");
    refuse(sig.abi.as_ref().map(|t| t as _), "a rank's program has no ABI of its own");
    let generics = (!sig.generics.params.is_empty()).then_some(&sig.generics as _);
    refuse(generics, "a rank's program cannot be generic: nothing says with which types");
    let clause = sig.generics.where_clause.as_ref().map(|t| t as _);
    refuse(clause, "a rank's program cannot be generic");

    let mut inputs = sig.inputs.iter();
    match inputs.next() {
        None => mistakes.push(Error::new(
            sig.paren_token.span.join(),
            "missing parameter: take `ctx: fmi::Context`",
        )),
        Some(FnArg::Receiver(this)) => mistakes.push(Error::new_spanned(
            this,
            "a rank's program is a free function: take `ctx: fmi::Context`",
        )),
        Some(FnArg::Typed(_)) => {}
    }
    mistakes.extend(inputs.map(|more| Error::new_spanned(more, TOO_MANY)));
    mistakes.extend(sig.variadic.as_ref().map(|more| Error::new_spanned(more, TOO_MANY)));
    mistakes
}

/// The item as it was, but for a function, which stays as an empty one: beside our error the
/// compiler should not also miss `main`, or complain about what we refused.
fn without_the_mistake(item: TokenStream) -> TokenStream {
    match syn::parse2(item.clone()) {
        Ok(Item::Fn(ItemFn { vis, sig: Signature { ident, .. }, .. })) => {
            quote!(#vis fn #ident() {})
        }
        _ => item,
    }
}

pub(crate) fn and(mut all: Error, one: Error) -> Error {
    all.combine(one);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(args: TokenStream, item: TokenStream) -> Vec<String> {
        try_expand(args, item).unwrap_err().into_iter().map(|error| error.to_string()).collect()
    }

    #[track_caller]
    fn expands(args: TokenStream, item: TokenStream, expected: TokenStream) {
        assert_eq!(try_expand(args, item).unwrap().to_string(), expected.to_string());
    }

    #[test]
    fn expands_to_run_and_nothing_else() {
        expands(
            quote!(),
            quote! {
                /// Docs.
                #[allow(dead_code)]
                pub(crate) async fn main(mut ctx: Context) -> Result<(), Whatever> {
                    #![allow(unused_mut)]
                    ctx.barrier().await?;
                    Ok(())
                }
            },
            quote! {
                /// Docs.
                #[allow(dead_code)]
                pub(crate) fn main() -> ::std::process::ExitCode {
                    #![allow(unused_mut)]
                    ::fmi::run(async |mut ctx: Context| -> Result<(), Whatever> {
                        ctx.barrier().await?;
                        Ok(())
                    })
                }
            },
        );
    }

    #[test]
    fn no_return_type_is_unit_and_the_crate_can_be_renamed() {
        expands(
            quote!(crate = crate::inner),
            quote!(
                async fn start(Context { .. }: Context) {}
            ),
            quote! {
                fn start() -> ::std::process::ExitCode {
                    crate::inner::run(async |Context { .. }: Context| -> () {})
                }
            },
        );
    }

    #[test]
    fn reports_every_mistake_at_once() {
        let found = errors(
            quote!(threads = 4),
            quote!(
                fn main<T>(ctx: Context, more: T, yet: T)
                where
                    T: Send,
                {
                }
            ),
        );
        assert_eq!(
            found,
            [
                "unknown argument: `crate = path` is the only one",
                "a rank's program is async: write `async fn`",
                "a rank's program cannot be generic: nothing says with which types",
                "a rank's program cannot be generic",
                "a rank gets its context, no more",
                "a rank gets its context, no more",
            ]
        );
    }

    #[test]
    fn refuses_what_is_no_function() {
        assert_eq!(
            errors(
                quote!(),
                quote!(
                    struct Main;
                )
            ),
            [USAGE]
        );
    }

    #[test]
    fn leaves_an_empty_main_behind_an_error() {
        let rest = without_the_mistake(quote!(
            fn main<T>(a: T) -> u8 {
                0
            }
        ));
        assert_eq!(
            rest.to_string(),
            quote!(
                fn main() {}
            )
            .to_string()
        );
    }
}
