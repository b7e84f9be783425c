// SPDX-FileCopyrightText: 2026 The Bastide authors
// SPDX-License-Identifier: Apache-2.0

// Verifies an exported log with golang.org/x/mod/sumdb, unchanged: the signed head (note), every tile
// and every entry (tlog). Knows nothing of Bastide.
//
//	verify_log FOLDER VKEY [PROOF]...
//
// Prints one line: entries, and names of signatures that it does not know (witnesses). A PROOF is a C2SP
// tlog-proof of the entry that its index names.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type folder struct{ root string }

func (f folder) Height() int { return height }

func (f folder) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		// Go's paths name the height, those of C2SP tlog-tiles do not.
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		data, err := os.ReadFile(filepath.Join(f.root, path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root, vkey string, proofs []string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("vkey: %w", err)
	}
	signed, err := os.ReadFile(filepath.Join(root, "checkpoint"))
	if err != nil {
		return err
	}
	tree, _, err := openHead(signed, verifier)
	if err != nil {
		return err
	}
	leaves, err := checkEntries(folder{root}, tree)
	if err != nil {
		return err
	}
	others := map[string]bool{}
	for _, path := range proofs {
		names, err := checkProof(path, verifier, leaves)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, name := range names {
			others[name] = true
		}
	}
	fmt.Println(tree.N, len(proofs), len(others))
	return nil
}

func openHead(signed []byte, verifier note.Verifier) (tlog.Tree, []string, error) {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, nil, fmt.Errorf("note: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, nil, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	hash, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	var others []string
	for _, signature := range opened.UnverifiedSigs {
		others = append(others, signature.Name)
	}
	return tlog.Tree{N: size, Hash: hash}, others, nil
}

func checkEntries(files folder, tree tlog.Tree) ([]tlog.Hash, error) {
	hashes := tlog.TileHashReader(tree, files)
	var leaves []tlog.Hash
	for first := int64(0); first < tree.N; first += 1 << height {
		width := min(tree.N-first, 1<<height)
		entries, err := bundle(files.root, first>>height, int(width))
		if err != nil {
			return nil, err
		}
		for number, entry := range entries {
			index := first + int64(number)
			leaf := tlog.RecordHash(entry)
			proof, err := tlog.ProveRecord(tree.N, index, hashes)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", index, err)
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
				return nil, fmt.Errorf("entry %d: %w", index, err)
			}
			leaves = append(leaves, leaf)
		}
	}
	return leaves, nil
}

// bundle reads a tile of entries: each has two bytes of length before it.
func bundle(root string, index int64, width int) ([][]byte, error) {
	tile := tlog.Tile{H: height, L: 0, N: index, W: width}
	path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/0/", height), "tile/entries/", 1)
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("%s: cut short", path)
		}
		size := int(binary.BigEndian.Uint16(data))
		entries = append(entries, data[2:2+size])
		data = data[2+size:]
	}
	if len(entries) != width {
		return nil, fmt.Errorf("%s: %d entries, not %d", path, len(entries), width)
	}
	return entries, nil
}

func checkProof(path string, verifier note.Verifier, leaves []tlog.Hash) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	head, signed, found := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return nil, fmt.Errorf("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return nil, err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		raw, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(raw) != tlog.HashSize {
			return nil, fmt.Errorf("a line is no hash")
		}
		proof = append(proof, tlog.Hash(raw))
	}
	tree, others, err := openHead([]byte(signed), verifier)
	if err != nil {
		return nil, err
	}
	return others, tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaves[index])
}
