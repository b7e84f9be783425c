module bastide.eu/verify_log

go 1.22

require golang.org/x/mod v0.7.0

// The package golang-golang-x-mod-dev of Debian puts it there; nothing is fetched.
replace golang.org/x/mod => /usr/share/gocode/src/golang.org/x/mod
