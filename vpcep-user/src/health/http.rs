//! As much of HTTP/1.1 as a health check needs: a request, and the status line of the
//! answer (RFC 9112 sections 3 and 4).

use std::net::SocketAddrV4;

use crate::model::HttpPath;

/// What the beginning of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not enough of it is there.
    Incomplete,
    /// A status code, 100..=599.
    Status(u16),
    /// It is not HTTP.
    Garbage,
}

/// The request for a path of a server.
pub fn request(path: &HttpPath, server: SocketAddrV4) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: vpcep-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

/// Reads `HTTP/1.x NNN`; what follows does not matter.
pub fn status(answer: &[u8]) -> Answer {
    const BEGINNING: &[u8; 12] = b"HTTP/1.# ###";
    let fits = |(got, want): (&u8, &u8)| if *want == b'#' { got.is_ascii_digit() } else { got == want };
    if !answer.iter().zip(BEGINNING).all(fits) {
        return Answer::Garbage;
    }
    // The reason is optional for those who read, its space as well.
    match answer.get(BEGINNING.len()) {
        None => return Answer::Incomplete,
        Some(b' ' | b'\r') => {}
        Some(_) => return Answer::Garbage,
    }
    let code = answer[9..12].iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    if (100..=599).contains(&code) { Answer::Status(code) } else { Answer::Garbage }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_is_all_that_matters() {
        for (answer, want) in [
            ("", Answer::Incomplete),
            ("HTTP/1.1 20", Answer::Incomplete),
            ("HTTP/1.1 200", Answer::Incomplete),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Answer::Status(200)),
            ("HTTP/1.0 404 Not Found\r\n", Answer::Status(404)),
            ("HTTP/1.1 503\r\n", Answer::Status(503)),
            ("HTTP/1.1 2000 OK\r\n", Answer::Garbage),
            ("HTTP/1.1 999 What\r\n", Answer::Garbage),
            ("HTTP/1.1 099 What\r\n", Answer::Garbage),
            ("HTTP/2 200\r\n", Answer::Garbage),
            ("SSH-2.0-OpenSSH_9.2\r\n", Answer::Garbage),
            ("S", Answer::Garbage),
            ("HTTP/1.1\r200 OK", Answer::Garbage),
        ] {
            assert_eq!(status(answer.as_bytes()), want, "{answer:?}");
        }
    }

    #[test]
    fn a_request_names_path_and_host() {
        let request = request(&"/healthz?x=1".parse().unwrap(), "10.0.0.9:8080".parse().unwrap());
        let text = String::from_utf8(request).unwrap();
        assert!(text.starts_with("GET /healthz?x=1 HTTP/1.1\r\nHost: 10.0.0.9:8080\r\n"), "{text}");
        assert!(text.ends_with("\r\nConnection: close\r\n\r\n"), "{text}");
    }
}
