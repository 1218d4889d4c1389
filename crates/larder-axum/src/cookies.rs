//! A secret on its way: in a cookie for browsers, as a bearer token for programs.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use cookie::{Cookie, SameSite};
use larder::session::Token;

/// A cookie that holds a token and is shown to no script and to no other site.
///
/// It is `HttpOnly` and `SameSite=Lax`: a link from elsewhere finds its reader signed in, and what changes something is for
/// [`SameOrigin`](crate::SameOrigin) to refuse. Over TLS it is `Secure`, and has the prefix `__Host-`, with which a browser takes it
/// from no other host and for no other path (RFC 6265bis, 4.1.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCookie {
    name: &'static str,
    max_age: Duration,
    over_tls: bool,
}

impl TokenCookie {
    /// A cookie of this name, a token by RFC 9110, which a browser keeps for so long. How long what it names holds, the server says.
    #[must_use]
    pub const fn new(name: &'static str, max_age: Duration) -> Self {
        Self { name, max_age, over_tls: false }
    }

    /// The same, where browsers reach the server over TLS.
    #[must_use]
    pub const fn over_tls(self, over_tls: bool) -> Self {
        Self { over_tls, ..self }
    }

    fn name(&self) -> Cow<'static, str> {
        if self.over_tls { Cow::Owned(format!("__Host-{}", self.name)) } else { Cow::Borrowed(self.name) }
    }

    /// The token that a request came with: as `Authorization: Bearer`, or else in the cookie.
    #[must_use]
    pub fn bearer_or_cookie(&self, headers: &HeaderMap) -> Option<Token> {
        match headers.get(header::AUTHORIZATION) {
            None => self.get(headers),
            // Whoever says who it is by a header is not somebody else by a cookie.
            Some(value) => {
                let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| Token::parse(token.trim()))?
            }
        }
    }

    /// The token in the cookie.
    #[must_use]
    pub fn get(&self, headers: &HeaderMap) -> Option<Token> {
        let name = self.name();
        let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = values.flat_map(Cookie::split_parse).filter_map(Result::ok);
        cookies.find(|cookie| cookie.name() == name).and_then(|cookie| Token::parse(cookie.value()))
    }

    /// The header that hands a token to a browser.
    #[must_use]
    pub fn set(&self, token: &Token) -> [(HeaderName, HeaderValue); 1] {
        self.header(token.expose(), self.max_age)
    }

    /// The header that makes a browser forget it.
    #[must_use]
    pub fn clear(&self) -> [(HeaderName, HeaderValue); 1] {
        self.header("", Duration::ZERO)
    }

    fn header(&self, value: &str, max_age: Duration) -> [(HeaderName, HeaderValue); 1] {
        let seconds = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((self.name(), value)).path("/").http_only(true).same_site(SameSite::Lax);
        let cookie = cookie.secure(self.over_tls).max_age(cookie::time::Duration::seconds(seconds)).build();
        // Digits, and words of the program: always a header.
        let value = HeaderValue::try_from(cookie.to_string());
        [(header::SET_COOKIE, value.unwrap_or_else(|_never| HeaderValue::from_static("")))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE: TokenCookie = TokenCookie::new("session", Duration::from_secs(60));

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::try_from(*value).unwrap())).collect()
    }

    #[test]
    fn a_token_is_taken_from_a_header_or_else_from_a_cookie() {
        let (one, other) = (Token::new(), Token::new());
        let bearer = format!("Bearer {}", one.expose());
        let cookies = format!("a=b; session={}; c", other.expose());
        let found = |pairs: &[(HeaderName, &str)]| COOKIE.bearer_or_cookie(&headers(pairs));
        assert_eq!(found(&[(header::AUTHORIZATION, &bearer)]), Some(one.clone()));
        assert_eq!(found(&[(header::COOKIE, &cookies)]), Some(other));
        assert_eq!(found(&[(header::COOKIE, &cookies), (header::AUTHORIZATION, &bearer)]), Some(one));
        for wrong in ["Basic abc", "Bearer", "Bearer x", ""] {
            assert_eq!(found(&[(header::COOKIE, &cookies), (header::AUTHORIZATION, wrong)]), None, "{wrong}");
        }
        assert_eq!(found(&[(header::COOKIE, "session=short; =; ;;")]), None);
        let over_tls = COOKIE.over_tls(true);
        assert_eq!(over_tls.get(&headers(&[(header::COOKIE, &cookies)])), None, "another cookie");
    }

    #[test]
    fn a_browser_hands_it_to_nobody_else() {
        let token = Token::new();
        let [(_, set)] = COOKIE.over_tls(true).set(&token);
        let expected =
            format!("__Host-session={}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60", token.expose());
        assert_eq!(set.to_str().unwrap(), expected);
        let [(_, clear)] = COOKIE.clear();
        assert_eq!(clear.to_str().unwrap(), "session=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
    }
}
