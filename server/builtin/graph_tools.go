package builtin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/mark3labs/mcp-go/mcp"
)

// person is what Graph tells about somebody. Fields that the directory has no
// value for are left out.
type person struct {
	ID                string   `json:"id" jsonschema:"object id in the directory"`
	DisplayName       string   `json:"displayName,omitempty"`
	GivenName         string   `json:"givenName,omitempty"`
	Surname           string   `json:"surname,omitempty"`
	UserPrincipalName string   `json:"userPrincipalName,omitempty" jsonschema:"sign-in name"`
	Mail              string   `json:"mail,omitempty"`
	JobTitle          string   `json:"jobTitle,omitempty"`
	Department        string   `json:"department,omitempty"`
	CompanyName       string   `json:"companyName,omitempty"`
	OfficeLocation    string   `json:"officeLocation,omitempty"`
	MobilePhone       string   `json:"mobilePhone,omitempty"`
	BusinessPhones    []string `json:"businessPhones,omitempty"`
	PreferredLanguage string   `json:"preferredLanguage,omitempty"`
}

const (
	detailFields = "id,displayName,givenName,surname,userPrincipalName,mail,jobTitle,department,companyName,officeLocation,mobilePhone,businessPhones,preferredLanguage"
	personFields = "id,displayName,userPrincipalName,mail,jobTitle,department,officeLocation"
)

func (p person) String() string {
	name := p.DisplayName
	if name == "" {
		name = p.ID
	}
	var about []string
	for _, s := range []string{p.UserPrincipalName, p.JobTitle, p.Department} {
		if s != "" {
			about = append(about, s)
		}
	}
	if len(about) == 0 {
		return name
	}
	return name + " (" + strings.Join(about, ", ") + ")"
}

// people and groups are lists that may be cut.
type people struct {
	People []person `json:"people"`
	More   bool     `json:"more" jsonschema:"there are more than are listed"`
}

type group struct {
	ID          string `json:"id" jsonschema:"object id in the directory"`
	DisplayName string `json:"displayName,omitempty"`
	Description string `json:"description,omitempty"`
}

type groups struct {
	Groups []group `json:"groups"`
	More   bool    `json:"more" jsonschema:"there are more than are listed"`
}

func graphTool[T any](name, title, description string, more ...mcp.ToolOption) mcp.Tool {
	return mcp.NewTool(name, append([]mcp.ToolOption{
		mcp.WithToolTitle(title),
		mcp.WithDescription(description + " Reads Microsoft Graph on the caller's behalf."),
		mcp.WithSchemaAdditionalProperties(false),
		output[T](),
		readsGraph(title),
	}, more...)...)
}

func limitArgument(most, usual int) mcp.ToolOption {
	return mcp.WithInteger("limit", mcp.Min(1), mcp.Max(float64(most)), mcp.DefaultNumber(float64(usual)), mcp.Description("At most so many are listed"))
}

// failed is the result of a tool that Graph gave nothing. Errors that are no
// words for the caller go on: the call was cancelled.
func failed(err error) (*mcp.CallToolResult, error) {
	var fault *graphFault
	if errors.As(err, &fault) {
		return mcp.NewToolResultError(fault.text), nil
	}
	return nil, err
}

func userDetailsTool() mcp.Tool {
	return graphTool[person]("get_user_details", "Get user details", "Profile of the caller: name, mail, job, office and phones.")
}

func (g *graph) userDetails(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var p person
	if err := g.get(ctx, "/me", url.Values{"$select": {detailFields}}, "User.Read", &p); err != nil {
		return failed(err)
	}
	return structured(fmt.Sprintf("You are %s.", p), p)
}

func managerTool() mcp.Tool {
	return graphTool[person]("get_manager", "Get manager", "The caller's manager.")
}

func (g *graph) manager(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var p person
	err := g.get(ctx, "/me/manager", url.Values{"$select": {personFields}}, "User.Read.All", &p)
	var fault *graphFault
	if errors.As(err, &fault) && fault.status == http.StatusNotFound {
		return mcp.NewToolResultError("The directory names no manager for you."), nil
	}
	if err != nil {
		return failed(err)
	}
	return structured(fmt.Sprintf("Your manager is %s.", p), p)
}

const (
	mostReports, usualReports = 200, 50
	mostGroups, usualGroups   = 500, 100
	mostPeople, usualPeople   = 50, 10
	maxSearch                 = 100 // characters
)

func directReportsTool() mcp.Tool {
	return graphTool[people]("list_direct_reports", "List direct reports", "The people whose manager the caller is.", limitArgument(mostReports, usualReports))
}

func (g *graph) directReports(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	found, more, err := list[person](ctx, g, "/me/directReports", url.Values{"$select": {personFields}}, "User.Read.All", request.GetInt("limit", usualReports))
	if err != nil {
		return failed(err)
	}
	return structured(counted(len(found), more, "direct report"), people{append([]person{}, found...), more})
}

func myGroupsTool() mcp.Tool {
	return graphTool[groups]("list_my_groups", "List my groups", "The groups and teams that the caller is a direct member of.", limitArgument(mostGroups, usualGroups))
}

func (g *graph) myGroups(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	limit := request.GetInt("limit", usualGroups)
	query := url.Values{"$select": {"id,displayName,description"}, "$top": {strconv.Itoa(min(limit, 100))}}
	found, more, err := list[group](ctx, g, "/me/memberOf/microsoft.graph.group", query, "GroupMember.Read.All", limit)
	if err != nil {
		return failed(err)
	}
	return structured(counted(len(found), more, "group"), groups{append([]group{}, found...), more})
}

func searchPeopleTool() mcp.Tool {
	return graphTool[people]("search_people", "Search people", "People around the caller, by name, most relevant first.",
		mcp.WithString("query", mcp.Required(), mcp.MinLength(1), mcp.MaxLength(maxSearch), mcp.Description("A name or the beginning of one")),
		limitArgument(mostPeople, usualPeople))
}

func (g *graph) searchPeople(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	limit := request.GetInt("limit", usualPeople)
	words := searchWords(request.GetString("query", ""))
	if words == "" {
		return mcp.NewToolResultError("The query has no letters or digits to search for."), nil
	}
	query := url.Values{"$search": {`"` + words + `"`}, "$select": {"id,displayName,givenName,surname,userPrincipalName,jobTitle,department,officeLocation,companyName"}, "$top": {strconv.Itoa(limit)}}
	found, more, err := list[person](ctx, g, "/me/people", query, "People.Read", limit)
	if err != nil {
		return failed(err)
	}
	return structured(counted(len(found), more, "person"), people{append([]person{}, found...), more})
}

// searchWords leaves of a query what a name can have, so that nothing of it
// means something to OData.
func searchWords(query string) string {
	kept := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r) || strings.ContainsRune("-'.@_", r) {
			return r
		}
		return ' '
	}, query)
	return strings.Join(strings.Fields(kept), " ")
}

func counted(n int, more bool, what string) string {
	switch {
	case n == 0:
		return "None found."
	case n == 1 && !more:
		return "1 " + what + "."
	case what == "person":
		what = "people"
	default:
		what += "s"
	}
	if more {
		return fmt.Sprintf("%d %s; there are more.", n, what)
	}
	return fmt.Sprintf("%d %s.", n, what)
}
