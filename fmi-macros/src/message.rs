//! `#[derive(fmi::Message)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Result, parse_quote};

use crate::CratePath;

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    try_expand(input).unwrap_or_else(Error::into_compile_error)
}

fn try_expand(input: TokenStream) -> Result<TokenStream> {
    let mut input: DeriveInput = syn::parse2(input)?;
    if let Data::Union(union) = &input.data {
        return Err(Error::new_spanned(
            union.union_token,
            "a union cannot be a message: nothing says which field is valid",
        ));
    }
    if let Some(lifetime) = input.generics.lifetimes().next() {
        return Err(Error::new_spanned(
            lifetime,
            "a message owns its data: no lifetime parameters (take a String for a &str)",
        ));
    }
    let mut krate = CratePath::default();
    for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("message")) {
        attr.parse_nested_meta(|meta| krate.parse(&meta))?;
    }

    let CratePath(krate) = krate;
    let name = &input.ident;
    // Bounds on the parameters, not on the type itself: so a missing serde derive is an error
    // here, at the type, and not where somebody sends it.
    let parameters: Vec<_> = input.generics.type_params().map(|p| p.ident.clone()).collect();
    if !parameters.is_empty() {
        let clause = input.generics.make_where_clause();
        clause.predicates.extend(parameters.into_iter().map(|parameter| -> syn::WherePredicate {
            parse_quote! {
                #parameter: #krate::__private::Serialize
                    + #krate::__private::DeserializeOwned
                    + ::core::marker::Send
                    + 'static
            }
        }));
    }
    let (parameters, arguments, clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #parameters #krate::Message for #name #arguments #clause {}
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expands(input: TokenStream, expected: TokenStream) {
        assert_eq!(try_expand(input).unwrap().to_string(), expected.to_string());
    }

    #[track_caller]
    fn refuses(input: TokenStream, expected: &str) {
        assert!(try_expand(input).unwrap_err().to_string().starts_with(expected));
    }

    #[test]
    fn a_plain_type_needs_no_bounds() {
        expands(
            quote!(
                struct Shard {
                    first: usize,
                }
            ),
            quote! {
                #[automatically_derived]
                impl ::fmi::Message for Shard {}
            },
        );
    }

    #[test]
    fn generics_keep_their_bounds_and_lose_their_defaults() {
        expands(
            quote! {
                #[message(crate = crate)]
                enum Tree<T: Ord = u8, const N: usize = 2>
                where
                    T: Copy,
                {
                    Leaf(T),
                    Node([usize; N]),
                }
            },
            quote! {
                #[automatically_derived]
                impl<T: Ord, const N: usize> crate::Message for Tree<T, N>
                where
                    T: Copy,
                    T: crate::__private::Serialize
                        + crate::__private::DeserializeOwned
                        + ::core::marker::Send
                        + 'static
                {}
            },
        );
    }

    #[test]
    fn refuses_borrowed_data_unions_and_unknown_arguments() {
        refuses(
            quote!(
                struct Line<'a>(&'a str);
            ),
            "a message owns its data",
        );
        refuses(
            quote!(
                union Bits {
                    a: u32,
                }
            ),
            "a union cannot be a message",
        );
        refuses(
            quote!(
                #[message(tag = 3)]
                struct Tagged;
            ),
            "unknown argument",
        );
    }
}
