//! `#[fmi::test]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    AttrStyle, Attribute, Error, Expr, ExprLit, Item, ItemFn, Lit, Result, Signature, parse::Parser,
};

use crate::{CratePath, rank};

const USAGE: &str = "#[fmi::test] goes on `async fn name(ctx: fmi::Context)`";
const RANKS: &str = "say how many ranks: `#[fmi::test(ranks = 4)]`";

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    rank::or_mistake(try_expand(args, item.clone()), item)
}

fn try_expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let item = match syn::parse2(item)? {
        Item::Fn(item) => item,
        other => return Err(Error::new_spanned(other, USAGE)),
    };
    let mut krate = CratePath::default();
    let mut ranks: Option<Expr> = None;
    let read = |meta: syn::meta::ParseNestedMeta<'_>| {
        if meta.path.is_ident("ranks") {
            ranks = Some(meta.value()?.parse()?);
            Ok(())
        } else if meta.path.is_ident("crate") {
            krate.parse(&meta)
        } else {
            Err(meta.error("unknown argument: `ranks` and `crate` are known"))
        }
    };
    let arguments = syn::meta::parser(read).parse2(args).err();
    let count = arguments.is_none().then(|| count(ranks.as_ref(), &item.sig)).flatten();
    let mistakes = arguments.into_iter().chain(count).chain(rank::misuse(&item.sig));
    let mistakes = mistakes.chain(item.attrs.iter().find_map(already));
    if let Some(mistakes) = mistakes.reduce(rank::and) {
        return Err(mistakes);
    }

    let ItemFn { attrs, vis, sig, .. } = &item;
    let CratePath(krate) = krate;
    let name = &sig.ident;
    let (outer, inner): (Vec<_>, Vec<_>) =
        attrs.iter().partition(|attr| matches!(attr.style, AttrStyle::Outer));
    let run = rank::call(&quote!(#krate::testing::on_ranks), Some(&quote!(#ranks)), &item);
    Ok(quote! {
        #[::core::prelude::v1::test]
        #(#outer)*
        #vis fn #name() {
            #(#inner)*
            #run
        }
    })
}

/// What is wrong with the number of ranks.
fn count(ranks: Option<&Expr>, sig: &Signature) -> Option<Error> {
    match ranks {
        None => Some(Error::new_spanned(&sig.ident, RANKS)),
        Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. }))
            if number.base10_parse::<usize>().is_ok_and(|number| number > 0) =>
        {
            None
        }
        Some(Expr::Lit(literal)) => Some(Error::new_spanned(literal, "at least one rank: 1, 2, …")),
        // Some constant of the user's.
        Some(_) => None,
    }
}

fn already(attribute: &Attribute) -> Option<Error> {
    let twice = attribute.path().is_ident("test");
    let why = "`#[fmi::test]` makes it a test already";
    twice.then(|| Error::new_spanned(attribute.to_token_stream(), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_to_a_test_and_keeps_its_attributes() {
        let item = quote! {
            /// Docs.
            #[ignore]
            #[should_panic(expected = "three")]
            async fn meets(ctx: Context) -> Result<(), String> {
                ctx.barrier().await?;
                Ok(())
            }
        };
        let expected = quote! {
            #[::core::prelude::v1::test]
            /// Docs.
            #[ignore]
            #[should_panic(expected = "three")]
            fn meets() {
                ::fmi::testing::on_ranks(3, async |ctx: Context| -> Result<(), String> {
                    ctx.barrier().await?;
                    Ok(())
                })
            }
        };
        assert_eq!(try_expand(quote!(ranks = 3), item).unwrap().to_string(), expected.to_string());
    }

    #[test]
    fn reports_every_mistake() {
        let errors = |args, item| -> Vec<String> {
            let all = try_expand(args, item).unwrap_err();
            all.into_iter().map(|error| error.to_string()).collect()
        };
        let found = errors(
            quote!(),
            quote!(
                #[test]
                fn meets() {}
            ),
        );
        assert_eq!(
            found,
            [
                RANKS,
                "a rank's program is async: write `async fn`",
                "missing parameter: take `ctx: fmi::Context`",
                "`#[fmi::test]` makes it a test already",
            ]
        );
        let zero = errors(
            quote!(ranks = 0),
            quote!(
                async fn meets(ctx: Context) {}
            ),
        );
        assert_eq!(zero, ["at least one rank: 1, 2, …"]);
        let other = errors(
            quote!(threads = 2),
            quote!(
                async fn meets(ctx: Context) {}
            ),
        );
        assert_eq!(other, ["unknown argument: `ranks` and `crate` are known"]);
        assert_eq!(
            errors(
                quote!(),
                quote!(
                    struct Meets;
                )
            ),
            [USAGE]
        );
    }
}
