//! Answers of a server, taken apart as they come (RESP2).
//!
//! What a server can claim costs no memory: strings and lists grow with what has truly arrived, up to fixed limits.

use std::collections::VecDeque;
use std::mem;

use redis::Value;

/// The longest string of Redis (`proto-max-bulk-len`).
const STRING: usize = 512 * 1024 * 1024;
/// The longest line: a status, an error, a length.
const LINE: usize = 64 * 1024;
const ITEMS: usize = 16 * 1024 * 1024;
const DEPTH: usize = 8;
/// What one answer may take in memory, at most.
const ANSWER: usize = 1024 * 1024 * 1024;
/// What one item of a list takes beside its bytes.
const ITEM: usize = 64;
/// So much is reserved at most for what is merely announced.
const AHEAD: usize = 64 * 1024;
const CRLF: &[u8] = b"\r\n";

/// What is no answer, or is larger than any of ours; the connection is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbage(pub(super) &'static str);

/// Takes bytes, gives answers.
#[derive(Default)]
pub(super) struct Parser {
    /// The line that has begun.
    line: Vec<u8>,
    /// The string that has begun: how long it will be with its end of line, and what is there.
    string: Option<(usize, Vec<u8>)>,
    /// The lists that have begun, the outermost first: how many items are to come, and those that are there.
    lists: Vec<(usize, Vec<Value>)>,
    /// What the answer that has begun takes.
    bytes: usize,
    answers: VecDeque<Value>,
}

impl Parser {
    /// The next whole answer.
    pub(super) fn next(&mut self) -> Option<Value> {
        self.answers.pop_front()
    }

    /// How many whole answers there are.
    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// Takes what has come.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Garbage> {
        while !bytes.is_empty() {
            if let Some((length, mut string)) = self.string.take() {
                let (part, rest) = bytes.split_at(bytes.len().min(length - string.len()));
                string.extend_from_slice(part);
                bytes = rest;
                if string.len() < length {
                    self.string = Some((length, string));
                } else if string.ends_with(CRLF) {
                    string.truncate(length - CRLF.len());
                    self.item(Value::BulkString(string))?;
                } else {
                    return Err(Garbage("a string of the wrong length"));
                }
                continue;
            }
            let (part, whole) = match bytes.iter().position(|&byte| byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (bytes.len(), false),
            };
            let (part, rest) = bytes.split_at(part);
            bytes = rest;
            if self.line.len() + part.len() > LINE {
                return Err(Garbage("a line without an end"));
            }
            self.line.extend_from_slice(part);
            if self.line.first().is_some_and(|kind| !b"+-:$*".contains(kind)) {
                return Err(Garbage("what is no answer of Redis"));
            }
            if whole {
                let mut line = mem::take(&mut self.line);
                self.begin(&line)?;
                line.clear();
                self.line = line;
            }
        }
        Ok(())
    }

    /// Takes a whole line.
    fn begin(&mut self, line: &[u8]) -> Result<(), Garbage> {
        let garbage = Garbage("what is no answer of Redis");
        let (kind, rest) = line.strip_suffix(CRLF).and_then(<[u8]>::split_first).ok_or(garbage)?;
        let number = || std::str::from_utf8(rest).ok().and_then(|text| text.parse::<i64>().ok()).ok_or(garbage);
        self.bytes = self.bytes.saturating_add(line.len());
        match kind {
            b'+' if rest == b"OK" => self.item(Value::Okay),
            b'+' => self.item(Value::SimpleString(String::from_utf8_lossy(rest).into_owned())),
            b'-' => self.item(redis::parse_redis_value(line).map_err(|_| garbage)?),
            b':' => self.item(Value::Int(number()?)),
            _ if number()? == -1 => self.item(Value::Nil),
            _ => {
                let length = usize::try_from(number()?).map_err(|_| garbage)?;
                self.open(*kind == b'$', length)
            }
        }
    }

    /// Begins a string or a list of `length`.
    fn open(&mut self, is_string: bool, length: usize) -> Result<(), Garbage> {
        if is_string {
            self.bytes = self.bytes.saturating_add(length);
            if length > STRING || self.bytes > ANSWER {
                return Err(Garbage("an answer of more than 1 GiB; ask for fewer or smaller entries at once"));
            }
            let whole = length + CRLF.len();
            self.string = Some((whole, Vec::with_capacity(whole.min(AHEAD))));
            return Ok(());
        }
        if length > ITEMS || self.lists.len() == DEPTH {
            return Err(Garbage("a list of more items than any answer has"));
        }
        if length == 0 {
            return self.item(Value::Array(Vec::new()));
        }
        self.lists.push((length, Vec::with_capacity(length.min(AHEAD / ITEM))));
        Ok(())
    }

    /// Takes a whole item: an answer, or a part of the list that has begun.
    fn item(&mut self, mut item: Value) -> Result<(), Garbage> {
        self.bytes = self.bytes.saturating_add(ITEM);
        if self.bytes > ANSWER {
            return Err(Garbage("an answer of more than 1 GiB; ask for fewer or smaller entries at once"));
        }
        while let Some((left, mut items)) = self.lists.pop() {
            items.push(item);
            if left > 1 {
                self.lists.push((left - 1, items));
                return Ok(());
            }
            item = Value::Array(items);
        }
        self.bytes = 0;
        self.answers.push_back(item);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8], step: usize) -> Result<Vec<Value>, Garbage> {
        let mut parser = Parser::default();
        for part in bytes.chunks(step) {
            parser.feed(part)?;
        }
        Ok(std::iter::from_fn(|| parser.next()).collect())
    }

    #[test]
    fn answers_are_the_same_however_they_are_cut() {
        let bytes = b"+OK\r\n:-7\r\n$-1\r\n$0\r\n\r\n$4\r\na\r\nb\r\n*3\r\n$1\r\nx\r\n*0\r\n*2\r\n:1\r\n$-1\r\n-OOM no room\r\n+x\r\n*-1\r\n";
        let whole = parse(bytes, bytes.len()).unwrap();
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        assert_eq!(whole[..5], [Value::Okay, Value::Int(-7), Value::Nil, text(""), text("a\r\nb")]);
        let inner = Value::Array(vec![Value::Int(1), Value::Nil]);
        assert_eq!(whole[5], Value::Array(vec![text("x"), Value::Array(Vec::new()), inner]));
        let Value::ServerError(error) = &whole[6] else { panic!("{:?}", whole[6]) };
        assert_eq!((error.code(), error.details()), ("OOM", Some("no room")));
        assert_eq!(whole[7..], [Value::SimpleString("x".into()), Value::Nil]);
        for step in 1..bytes.len() {
            assert_eq!(parse(bytes, step).unwrap(), whole, "{step}");
        }
        for cut in 0..bytes.len() {
            let part = parse(&bytes[..cut], 3).unwrap();
            assert_eq!(part[..], whole[..part.len()]);
        }
    }

    #[test]
    fn garbage_is_refused() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\n"[..],
            b"\0\0\0\0",
            b"$x\r\n",
            b"$-2\r\n",
            b"$536870913\r\n",
            b"$9223372036854775807\r\n",
            b"$99999999999999999999\r\n",
            b"*16777217\r\n",
            b"*-7\r\n",
            b"$1\r\nabc",
            b"+OK\n",
            b":\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
            &vec![b'+'; 65_537],
        ] {
            for step in [1, 3, 1_000_000] {
                assert!(parse(bytes, step).is_err(), "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
            }
        }
    }

    #[test]
    fn what_is_announced_is_not_reserved() {
        let mut parser = Parser::default();
        for _ in 0..DEPTH {
            parser.feed(b"*16777216\r\n").unwrap();
        }
        parser.feed(b"$536870912\r\nx").unwrap();
        assert!(parser.string.as_ref().is_some_and(|(_, string)| string.capacity() <= AHEAD));
        assert!(parser.lists.iter().all(|(_, items)| items.capacity() <= AHEAD));
    }

    #[test]
    fn an_answer_without_end_is_refused() {
        let mut parser = Parser::default();
        parser.feed(b"*16777216\r\n").unwrap();
        let string = [&b"$1048576\r\n"[..], &vec![b'x'; 1_048_576], CRLF].concat();
        // Only what is counted is looked at: the test keeps none of it.
        let refused = (0..2_000).find_map(|_| {
            let fed = parser.feed(&string).err();
            parser.lists[0].1.clear();
            fed
        });
        assert!(refused.is_some());
    }
}
