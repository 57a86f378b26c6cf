//! What an author is told when a handler is not as it must be: each file in `ui` beside what the compiler says of it.

#[test]
fn what_is_wrong_with_a_handler_is_named_where_it_is_wrong() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
