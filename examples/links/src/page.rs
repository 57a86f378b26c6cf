//! The links of a page.

use std::{collections::BTreeSet, convert::Infallible};

use html5gum::{Token, Tokenizer};
use url::Url;

/// All that an HTML page links to over HTTP, once each: `href` of links, `src` of pictures and the like. Without
/// fragments, which are never fetched.
pub(crate) fn links(base: &Url, html: &[u8]) -> BTreeSet<Url> {
    let mut base = base.clone();
    let mut links = BTreeSet::new();
    for token in Tokenizer::new(html) {
        let Ok::<_, Infallible>(token) = token;
        let Token::StartTag(tag) = token else { continue };
        let attribute = match &tag.name[..] {
            b"a" | b"area" | b"link" | b"base" => "href",
            b"img" | b"script" | b"iframe" | b"audio" | b"video" | b"source" => "src",
            _ => continue,
        };
        let Some(value) = tag.attributes.get(attribute.as_bytes()) else { continue };
        let Ok(mut link) = base.join(&String::from_utf8_lossy(value)) else { continue };
        if &tag.name[..] == b"base" {
            base = link;
            continue;
        }
        link.set_fragment(None);
        if matches!(link.scheme(), "http" | "https") {
            links.insert(link);
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(html: &str) -> Vec<String> {
        let base = Url::parse("http://a.example/dir/page").unwrap();
        links(&base, html.as_bytes()).into_iter().map(String::from).collect()
    }

    #[test]
    fn links_are_resolved_against_the_page_and_named_once() {
        assert_eq!(
            found(
                r#"<A HREF="x#one">1</A><a href='x#two'>2</a><img src=/y.png><a href="//b.example/?q=1&amp;r=2">3</a>"#
            ),
            ["http://a.example/dir/x", "http://a.example/y.png", "http://b.example/?q=1&r=2"]
        );
        assert_eq!(found(r#"<base href="/other/"><a href="x">"#), ["http://a.example/other/x"]);
    }

    #[test]
    fn what_cannot_be_fetched_is_left_alone() {
        let html = r#"<a href="mailto:me@a.example"><a href="javascript:x()"><a name="n"><!-- <a href="c"> --><a href="http://["#;
        assert!(found(html).is_empty());
    }
}
