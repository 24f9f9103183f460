//! What the macros accept, and what they say about misuse.
//!
//! The messages are in `tests/ui/*.stderr`. After a change that is meant:
//! `TRYBUILD=overwrite cargo test --test macros`.

#[test]
fn misuse_is_explained_at_the_right_token() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/*.rs");
}
