//! A middleman between the engine and a server, which does what networks and impostors do.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What becomes of the server's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    Pass,
    /// They never come; the connection stays.
    Swallow,
    /// Others come instead.
    Garbage,
    /// Half of the next one comes, then the end.
    Cut,
    /// A string that never ends comes instead.
    Endless,
    /// Connections are closed at once.
    Refuse,
}

const MODES: [Mode; 6] = [Mode::Pass, Mode::Swallow, Mode::Garbage, Mode::Cut, Mode::Endless, Mode::Refuse];

pub struct Proxy {
    pub port: u16,
    mode: Arc<AtomicU8>,
}

impl Proxy {
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(AtomicU8::new(0));
        let shared = Arc::clone(&mode);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.load(Ordering::SeqCst) == Mode::Refuse as u8 {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (mut back, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (mut from, mut client) = (server, client);
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut client, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
                let mode = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let _ = answer(&mut from, &mut back, &mode);
                    let _ = back.shutdown(std::net::Shutdown::Both);
                    let _ = from.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Self { port, mode }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

fn answer(from: &mut TcpStream, back: &mut TcpStream, mode: &AtomicU8) -> std::io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let answer = &buffer[..count];
        match MODES[usize::from(mode.load(Ordering::SeqCst))] {
            Mode::Pass => back.write_all(answer)?,
            Mode::Swallow => {}
            Mode::Garbage => back.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?,
            Mode::Cut | Mode::Refuse => {
                back.write_all(&answer[..count / 2])?;
                return Ok(());
            }
            Mode::Endless => {
                back.write_all(b"*16777216\r\n")?;
                let part = [&b"$1048576\r\n"[..], &vec![b'x'; 1_048_576], b"\r\n"].concat();
                while mode.load(Ordering::SeqCst) == Mode::Endless as u8 {
                    back.write_all(&part)?;
                }
                return Ok(());
            }
        }
    }
}
