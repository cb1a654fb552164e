package gateway

// Running returns how many processes there are now.
func (p *Processes) Running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.running)
}
