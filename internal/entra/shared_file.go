package entra

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"github.com/mcpctl/mcpctl/internal/sharedfile"
)

// sharedState is what the leader of a shared sign-in tells the others. Who reads
// it is the same person; it holds no secret all the same.
type sharedState struct {
	Attempt string        `json:"attempt"` // random, new for each attempt
	PID     int           `json:"pid"`     // for people who look for it
	Phase   sharedPhase   `json:"phase"`
	Prompt  *SharedPrompt `json:"prompt,omitempty"`
	Error   string        `json:"error,omitempty"` // for people
}

type sharedPhase string

const (
	phaseStarting  sharedPhase = "starting"
	phasePending   sharedPhase = "pending"
	phaseDone      sharedPhase = "done"
	phaseFailed    sharedPhase = "failed"
	phaseAbandoned sharedPhase = "abandoned"
)

const (
	maxSharedState = 16 << 10
	maxSharedError = 2 << 10
)

// stateFile is the path of a sharedState. It is replaced whole.
type stateFile string

// read returns the zero value where there is nothing usable.
func (f stateFile) read() sharedState {
	var data []byte
	err := sharedfile.Retry(func() error {
		file, err := os.Open(string(f))
		if err != nil {
			return err
		}
		defer file.Close()
		data, err = io.ReadAll(io.LimitReader(file, maxSharedState+1))
		return err
	})
	if err != nil || len(data) > maxSharedState {
		return sharedState{}
	}
	return parseSharedState(data)
}

func parseSharedState(data []byte) sharedState {
	var s sharedState
	if json.Unmarshal(data, &s) != nil {
		return sharedState{}
	}
	if s.Prompt != nil {
		s.Prompt.Note = redactDescription(s.Prompt.Note)
	}
	s.Error = redactLong(s.Error)
	return s
}

func (f stateFile) write(s sharedState) (err error) {
	s.Error = redactLong(s.Error)
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(string(f)), ".signin-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	_, err = temp.Write(data)
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return sharedfile.Retry(func() error { return os.Rename(temp.Name(), string(f)) })
}

// redactLong keeps an error's text to one bounded line without credentials. It
// is longer than a description: it names the command that helps.
func redactLong(s string) string {
	s = jwtPattern.ReplaceAllString(s, redacted)
	s = opaquePattern.ReplaceAllString(s, redacted)
	if len(s) > maxSharedError {
		s = s[:maxSharedError]
	}
	return s
}
